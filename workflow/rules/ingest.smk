rule phantom:
    output:
        labels=layout.phantom_labels,
        key=layout.phantom_key,
        listing=layout.archive_listing,
        record=layout.record("phantom"),
    log:
        log_of("phantom"),
    benchmark:
        benchmark_of("phantom")
    conda:
        "../envs/medvision.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        config=config_of("phantom"),
        version=__version__,
    message:
        "Writing the embedded cohort with known answers."
    shell:
        "medvision phantom --config {params.config:q} > {log} 2>&1"


rule ingest:
    input:
        raw_archive(),
    output:
        manifest=layout.manifest,
        rejects=report(
            layout.rejects,
            caption="../report/rejects.rst",
            category="Cohort",
        ),
        sources=layout.sources,
        images=directory(layout.images),
        record=layout.record("ingest"),
    log:
        log_of("ingest"),
    benchmark:
        benchmark_of("ingest")
    conda:
        "../envs/medvision.yaml"
    threads: study.ingest.workers
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        config=config_of("ingest"),
        version=__version__,
    message:
        "Reading, checking and de-identifying the images."
    shell:
        "medvision ingest --config {params.config:q} > {log} 2>&1"
