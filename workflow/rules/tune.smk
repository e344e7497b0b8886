# The journal that all jobs of a search share is no output here: Snakemake would delete it before a
# rerun, and with it the trials that need not be run again.
rule tune_worker:
    input:
        layout.array_meta,
        layout.folds,
        layout.record("preprocess"),
        starting_weights,
    output:
        mark=search_file("workers/{worker}.json"),
    log:
        log_of("tune/{arm}-part-{part}-worker-{worker}"),
    benchmark:
        benchmark_of("tune-{arm}-part-{part}-worker-{worker}")
    conda:
        "../envs/medvision.yaml"
    threads: asked["tune_worker"].threads
    resources:
        **asked["tune_worker"].resources,
    params:
        config=config_of("tune"),
        version=__version__,
    message:
        "Searching hyper-parameters of {wildcards.arm}, part {wildcards.part}, job {wildcards.worker}."
    shell:
        "medvision tune --arm {wildcards.arm} --part {wildcards.part} --worker {wildcards.worker}"
        " --config {params.config:q} > {log:q} 2>&1"


rule tune:
    input:
        layout.array_meta,
        layout.folds,
        layout.record("preprocess"),
        starting_weights,
        search_marks,
    output:
        trials=search_file("trials.tsv"),
        best=search_file("best.json"),
        record=search_file("record.json"),
    log:
        log_of("tune/{arm}-part-{part}"),
    benchmark:
        benchmark_of("tune-{arm}-part-{part}")
    conda:
        "../envs/medvision.yaml"
    threads: asked["tune"].threads
    resources:
        **asked["tune"].resources,
    params:
        config=config_of("tune"),
        version=__version__,
    message:
        "Choosing hyper-parameters of {wildcards.arm}, part {wildcards.part}."
    shell:
        "medvision tune --arm {wildcards.arm} --part {wildcards.part}"
        " --config {params.config:q} > {log:q} 2>&1"
