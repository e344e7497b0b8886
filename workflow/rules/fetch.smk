# The archive is no output here: Snakemake would delete it when an object is missing, and with it what
# a resumed fetch goes on from.
rule fetch:
    input:
        bucket_access("fetch"),
    output:
        objects=layout.table("fetch", "objects"),
        listing=layout.table("fetch", "archive"),
        record=layout.record("fetch"),
    log:
        log_of("fetch"),
    benchmark:
        benchmark_of("fetch")
    conda:
        "../envs/medvision.yaml"
    threads: asked["fetch"].threads
    resources:
        **asked["fetch"].resources,
    params:
        config=config_of("fetch"),
        version=__version__,
    message:
        "Fetching the images from the bucket."
    shell:
        "command medvision fetch --config {params.config:q} > {log} 2>&1"
