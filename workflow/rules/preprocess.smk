# Arrays and index are no outputs here: Snakemake would delete them before a rerun, and with them
# all that need not be computed again. The index holds their digests, meta and record stand for it.
rule preprocess_shard:
    input:
        layout.cohort,
        layout.record("cohort"),
        plugin_files(),
    output:
        mark=layout.array_folder("shards") / "{shard}-of-{shards}.json",
    log:
        log_of("preprocess-shard-{shard}-of-{shards}"),
    benchmark:
        benchmark_of("preprocess-shard-{shard}-of-{shards}")
    conda:
        "../envs/medvision.yaml"
    threads: asked["preprocess_shard"].threads
    resources:
        **asked["preprocess_shard"].resources,
    params:
        config=config_of("preprocess"),
        version=__version__,
    message:
        "Computing part {wildcards.shard} of {wildcards.shards} of the arrays."
    shell:
        "medvision preprocess --shard {wildcards.shard}/{wildcards.shards}"
        " --config {params.config:q} > {log:q} 2>&1"


rule preprocess:
    input:
        layout.cohort,
        layout.record("cohort"),
        preprocess_marks(),
        plugin_files(),
    output:
        meta=layout.array_meta,
        rejects=layout.preprocess_rejects,
        record=layout.record("preprocess"),
    log:
        log_of("preprocess"),
    benchmark:
        benchmark_of("preprocess")
    conda:
        "../envs/medvision.yaml"
    threads: asked["preprocess"].threads
    resources:
        **asked["preprocess"].resources,
    params:
        config=config_of("preprocess"),
        version=__version__,
    message:
        "Computing the arrays that networks are trained on."
    shell:
        "medvision preprocess --config {params.config:q} > {log:q} 2>&1"
