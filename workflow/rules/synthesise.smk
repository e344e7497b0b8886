rule synthesise:
    input:
        layout.array_meta,
        layout.folds,
        layout.record("preprocess"),
    output:
        images=synthetic_file("images.npy"),
        table=synthetic_file("images.tsv"),
        sidecar=synthetic_file("images.json"),
        generator=synthetic_file("generator.safetensors"),
        history=synthetic_file("history.tsv"),
        sources=synthetic_file("sources.tsv"),
        record=synthetic_file("record.json"),
    log:
        log_of("synthesise/fold-{fold}"),
    benchmark:
        benchmark_of("synthesise-fold-{fold}")
    conda:
        "../envs/medvision.yaml"
    threads: asked["synthesise"].threads
    resources:
        **asked["synthesise"].resources,
    params:
        config=config_of("synthesise"),
        version=__version__,
    message:
        "Training the generator of fold {wildcards.fold} and drawing its images."
    shell:
        "MEDVISION_TIME_LIMIT_MIN={resources.runtime} medvision synthesise --fold {wildcards.fold}"
        " --config {params.config:q} > {log:q} 2>&1"
