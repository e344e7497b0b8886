# The archive and the table of objects are no outputs here: Snakemake would delete them when an object
# is missing, and with them what a resumed fetch goes on from and the reasons.
rule fetch:
    input:
        access_of("fetch"),
    output:
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
        "bucket_medvision fetch --config {params.config:q} > {log:q} 2>&1"
