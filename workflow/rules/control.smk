rule control:
    input:
        layout.array_meta,
        layout.folds,
        layout.record("preprocess"),
        control_start(),
    output:
        predictions=control_file("predictions.tsv"),
        dealt=control_file("dealt.tsv"),
        summary=control_file("summary.json"),
        record=control_file("record.json"),
    log:
        log_of(f"control/{{control}}-fold-{CONTROLLED_FOLD}"),
    benchmark:
        benchmark_of(f"control-{{control}}-fold-{CONTROLLED_FOLD}")
    conda:
        "../envs/medvision.yaml"
    threads: asked["control"].threads
    resources:
        **asked["control"].resources,
    params:
        config=config_of("control"),
        version=__version__,
    message:
        "Training the control {wildcards.control}: it must fail if nothing leaks."
    shell:
        "MEDVISION_TIME_LIMIT_MIN={resources.runtime} medvision control --arm {wildcards.control} --fold 0"
        " --config {params.config:q} > {log:q} 2>&1"
