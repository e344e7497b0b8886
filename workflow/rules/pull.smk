# The archive and the table of series are no outputs here: Snakemake would delete them when a
# series is missing, and with them what a resumed pull goes on from and the reasons.
rule pull:
    input:
        asked_studies,
    output:
        listing=layout.pulled_listing,
        record=layout.record("pull"),
    log:
        log_of("pull"),
    benchmark:
        benchmark_of("pull")
    conda:
        "../envs/medvision.yaml"
    threads: asked["pull"].threads
    resources:
        **asked["pull"].resources,
    params:
        config=config_of("pull"),
        version=__version__,
    message:
        "Fetching the studies from the PACS."
    shell:
        "pacs_medvision pull --config {params.config:q} > {log:q} 2>&1"
