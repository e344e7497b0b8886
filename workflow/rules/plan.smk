rule plan:
    input:
        layout.predictions,
        layout.record("predict"),
    output:
        plan=plan_files(),
        record=layout.record("plan"),
    log:
        log_of("plan"),
    benchmark:
        benchmark_of("plan")
    conda:
        "../envs/medvision.yaml"
    threads: asked["plan"].threads
    resources:
        **asked["plan"].resources,
    params:
        config=config_of("plan"),
        version=__version__,
    message:
        "Writing down which predictions will be explained, and how they are judged."
    shell:
        "medvision plan --config {params.config:q} > {log:q} 2>&1"
