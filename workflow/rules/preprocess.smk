rule preprocess:
    input:
        layout.cohort,
        layout.record("cohort"),
    output:
        arrays=layout.arrays,
        index=layout.array_index,
        meta=layout.array_meta,
        rejects=layout.preprocess_rejects,
        record=layout.record("preprocess"),
    log:
        log_of("preprocess"),
    benchmark:
        benchmark_of("preprocess")
    conda:
        "../envs/medvision.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=240,
    params:
        config=config_of("preprocess"),
        version=__version__,
    message:
        "Computing the arrays that networks are trained on."
    shell:
        "medvision preprocess --config {params.config:q} > {log} 2>&1"
