rule pretrain:
    input:
        layout.array_meta,
        layout.folds,
        layout.record("preprocess"),
    output:
        model=layout.pretrained,
        record=layout.record("pretrain"),
    log:
        log_of("pretrain"),
    benchmark:
        benchmark_of("pretrain")
    conda:
        "../envs/medvision.yaml"
    threads: asked["pretrain"].threads
    resources:
        **asked["pretrain"].resources,
    params:
        config=config_of("pretrain"),
        version=__version__,
    message:
        "Training starting weights on the source task, or on images without labels."
    shell:
        "MEDVISION_TIME_LIMIT_MIN={resources.runtime} medvision pretrain --config {params.config:q} > {log:q} 2>&1"
