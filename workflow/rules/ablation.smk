rule ablate:
    input:
        layout.array_meta,
        layout.folds,
        layout.record("preprocess"),
        ablation_start,
    output:
        predictions=ablation_file("predictions.tsv"),
        trainings=ablation_file("trainings.tsv"),
        subsets=ablation_file("subsets.tsv"),
        gates=ablation_file("gates.tsv"),
        record=ablation_file("record.json"),
    log:
        log_of("ablate/share-{share}-fold-{fold}"),
    benchmark:
        benchmark_of("ablate-share-{share}-fold-{fold}")
    conda:
        "../envs/medvision.yaml"
    threads: asked["ablate"].threads
    resources:
        **asked["ablate"].resources,
    params:
        config=config_of("ablate"),
        version=__version__,
    message:
        "Training without and with synthetic images on {wildcards.share} of the subjects of fold"
        " {wildcards.fold}."
    shell:
        "MEDVISION_TIME_LIMIT_MIN={resources.runtime} medvision ablate --share {wildcards.share} --fold {wildcards.fold}"
        " --config {params.config:q} > {log:q} 2>&1"


rule ablation:
    input:
        ablation_trainings(),
    output:
        facts=layout.step("ablation") / "ablation.json",
        scores=layout.table("ablation", "scores"),
        differences=report(
            layout.table("ablation", "differences"),
            caption="../report/ablation.rst",
            category="Synthetic images",
            labels=name_result("What synthetic images added"),
        ),
        record=layout.record("ablation"),
    log:
        log_of("ablation"),
    benchmark:
        benchmark_of("ablation")
    conda:
        "../envs/medvision.yaml"
    threads: asked["ablation"].threads
    resources:
        **asked["ablation"].resources,
    params:
        config=config_of("ablation"),
        version=__version__,
    message:
        "Saying what synthetic images added."
    shell:
        "medvision ablation --config {params.config:q} > {log:q} 2>&1"
