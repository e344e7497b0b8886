rule train:
    input:
        access_of("train"),
        layout.array_meta,
        layout.folds,
        layout.record("preprocess"),
        starting_weights,
        chosen_values,
        accepted_images,
    output:
        models=fold_models("{arm}", "{fold}"),
        record=layout.record("train/{arm}/fold-{fold}"),
    log:
        log_of("train/{arm}-fold-{fold}"),
    benchmark:
        benchmark_of("train-{arm}-fold-{fold}")
    conda:
        "../envs/medvision.yaml"
    threads: asked["train"].threads
    resources:
        **asked["train"].resources,
    params:
        config=config_of("train"),
        version=__version__,
    message:
        "Training {wildcards.arm}, fold {wildcards.fold}."
    shell:
        "MEDVISION_TIME_LIMIT_MIN={resources.runtime} tracked_medvision train --arm {wildcards.arm} --fold {wildcards.fold}"
        " --config {params.config:q} > {log:q} 2>&1"


rule predict_fold:
    input:
        fold_models("{arm}", "{fold}"),
        layout.record("train/{arm}/fold-{fold}"),
        layout.array_meta,
        layout.folds,
        layout.record("preprocess"),
    output:
        predictions=predicted_file("predictions.tsv"),
        temperatures=predicted_file("temperatures.tsv"),
        record=predicted_file("record.json"),
    log:
        log_of("predict/{arm}-fold-{fold}"),
    benchmark:
        benchmark_of("predict-{arm}-fold-{fold}")
    conda:
        "../envs/medvision.yaml"
    threads: asked["predict_fold"].threads
    resources:
        **asked["predict_fold"].resources,
    params:
        config=config_of("predict"),
        version=__version__,
    message:
        "Predicting validation and test images with {wildcards.arm}, fold {wildcards.fold}."
    shell:
        "medvision predict --arm {wildcards.arm} --fold {wildcards.fold}"
        " --config {params.config:q} > {log:q} 2>&1"


rule predict:
    input:
        [
            all_folds(lambda arm, fold, name=name: predicted_file(name, arm, fold))
            for name in ("predictions.tsv", "temperatures.tsv", "record.json")
        ],
    output:
        predictions=layout.predictions,
        temperatures=layout.table("predict", "temperatures"),
        record=layout.record("predict"),
    log:
        log_of("predict"),
    benchmark:
        benchmark_of("predict")
    conda:
        "../envs/medvision.yaml"
    threads: asked["predict"].threads
    resources:
        **asked["predict"].resources,
    params:
        config=config_of("predict"),
        version=__version__,
    message:
        "Gathering the predictions of all arms and folds."
    shell:
        "medvision predict --config {params.config:q} > {log:q} 2>&1"
