# What is kept between runs is no output here: Snakemake would delete it before a rerun, and with it
# all that need not be read again.
rule measure_shard:
    input:
        manifest=layout.manifest,
        record=layout.record("ingest"),
    output:
        mark=layout.step("measure") / "shards" / "{shard}-of-{shards}.json",
    log:
        log_of("measure-shard-{shard}-of-{shards}"),
    benchmark:
        benchmark_of("measure-shard-{shard}-of-{shards}")
    conda:
        "../envs/medvision.yaml"
    threads: asked["measure_shard"].threads
    resources:
        **asked["measure_shard"].resources,
    params:
        config=config_of("measure"),
        version=__version__,
    message:
        "Measuring part {wildcards.shard} of {wildcards.shards} of the images."
    shell:
        "medvision measure --shard {wildcards.shard}/{wildcards.shards}"
        " --config {params.config:q} > {log:q} 2>&1"


rule measure:
    input:
        measure_marks(),
        manifest=layout.manifest,
        record=layout.record("ingest"),
    output:
        measures=layout.table("measure", "measures"),
        thumbnails=layout.thumbnails,
        pictures=layout.pictures,
        record=layout.record("measure"),
    log:
        log_of("measure"),
    benchmark:
        benchmark_of("measure")
    conda:
        "../envs/medvision.yaml"
    threads: asked["measure"].threads
    resources:
        **asked["measure"].resources,
    params:
        config=config_of("measure"),
        version=__version__,
    message:
        "Measuring the quality of the images."
    shell:
        "medvision measure --config {params.config:q} > {log:q} 2>&1"
