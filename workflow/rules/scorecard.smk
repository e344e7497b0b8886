rule scorecard_start:
    input:
        layout.array_meta,
        layout.folds,
        layout.record("preprocess"),
        scorecard_weights,
    output:
        predictions=scorecard_file("predictions.tsv"),
        trainings=scorecard_file("trainings.tsv"),
        subsets=scorecard_file("subsets.tsv"),
        cka=scorecard_file("cka.tsv"),
        summary=scorecard_file("summary.json"),
        record=scorecard_file("record.json"),
    log:
        log_of("scorecard/{start}-fold-{fold}"),
    benchmark:
        benchmark_of("scorecard-{start}-fold-{fold}")
    conda:
        "../envs/medvision.yaml"
    threads: asked["scorecard_start"].threads
    resources:
        **asked["scorecard_start"].resources,
    params:
        config=config_of("scorecard"),
        version=__version__,
    message:
        "Training {wildcards.start} on shares of the subjects of fold {wildcards.fold}."
    shell:
        "MEDVISION_TIME_LIMIT_MIN={resources.runtime} medvision scorecard --arm {wildcards.start} --fold {wildcards.fold}"
        " --config {params.config:q} > {log:q} 2>&1"


rule compare:
    input:
        scorecard_trainings(),
    output:
        facts=layout.step("compare") / "scorecard.json",
        table=report(
            layout.table("compare", "scorecard"),
            caption="../report/scorecard.rst",
            category="Transfer",
            labels=name_result("AUC of each start and share"),
        ),
        record=layout.record("compare"),
    log:
        log_of("compare"),
    benchmark:
        benchmark_of("compare")
    conda:
        "../envs/medvision.yaml"
    threads: asked["compare"].threads
    resources:
        **asked["compare"].resources,
    params:
        config=config_of("compare"),
        version=__version__,
    message:
        "Comparing the starts of the scorecard with none at all."
    shell:
        "medvision compare --config {params.config:q} > {log:q} 2>&1"


rule scorecard:
    input:
        layout.record("compare"),
    localrule: True
