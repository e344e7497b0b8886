rule audit:
    input:
        layout.report_html,
        layout.record("report"),
        workflow_sources(),
    output:
        manifest=layout.bundle / "manifest.json",
        record=layout.record("audit"),
    log:
        log_of("audit"),
    benchmark:
        benchmark_of("audit")
    conda:
        "../envs/medvision.yaml"
    threads: asked["audit"].threads
    resources:
        **asked["audit"].resources,
    params:
        config=config_of("audit"),
        version=__version__,
        workflow=os.path.relpath(WORKFLOW),
    message:
        "Closing the record of the run and sealing the bundle."
    shell:
        "medvision audit seal --config {params.config:q}"
        " --workflow {params.workflow:q} > {log:q} 2>&1"
