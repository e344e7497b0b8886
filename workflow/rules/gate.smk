rule gate:
    input:
        layout.array_meta,
        layout.folds,
        layout.record("preprocess"),
        synthetic_file("images.npy"),
        synthetic_file("images.tsv"),
        synthetic_file("images.json"),
        synthetic_file("record.json"),
        gate_start,
    output:
        criteria=gate_file("criteria.tsv"),
        images=gate_file("images.tsv"),
        verdict=gate_file("gate.json"),
        record=gate_file("record.json"),
    log:
        log_of("gate/fold-{fold}"),
    benchmark:
        benchmark_of("gate-fold-{fold}")
    conda:
        "../envs/medvision.yaml"
    threads: asked["gate"].threads
    resources:
        **asked["gate"].resources,
    params:
        config=config_of("gate"),
        version=__version__,
    message:
        "Judging the synthetic images of fold {wildcards.fold}."
    shell:
        "MEDVISION_TIME_LIMIT_MIN={resources.runtime} medvision gate --fold {wildcards.fold}"
        " --config {params.config:q} > {log:q} 2>&1"
