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
    threads: asked["phantom"].threads
    resources:
        **asked["phantom"].resources,
    params:
        config=config_of("phantom"),
        version=__version__,
    message:
        "Writing the embedded cohort with known answers."
    shell:
        "medvision phantom --config {params.config:q} > {log:q} 2>&1"


# Index, outcomes and images are no outputs here: Snakemake would delete them before a rerun, and
# with them all that need not be read again. What they hold stands in manifest and record.
rule ingest_index:
    input:
        raw_archive(),
    output:
        mark=layout.ingest_shard("index"),
    log:
        log_of("ingest-index"),
    benchmark:
        benchmark_of("ingest-index")
    conda:
        "../envs/medvision.yaml"
    threads: asked["ingest_index"].threads
    resources:
        **asked["ingest_index"].resources,
    params:
        config=config_of("ingest"),
        version=__version__,
    message:
        "Looking at the files."
    shell:
        "medvision ingest --index-only --config {params.config:q} > {log:q} 2>&1"


rule ingest_shard:
    input:
        layout.ingest_shard("index"),
    output:
        mark=layout.ingest_shard("{shard}-of-{shards}"),
    log:
        log_of("ingest-shard-{shard}-of-{shards}"),
    benchmark:
        benchmark_of("ingest-shard-{shard}-of-{shards}")
    conda:
        "../envs/medvision.yaml"
    threads: asked["ingest_shard"].threads
    resources:
        **asked["ingest_shard"].resources,
    params:
        config=config_of("ingest"),
        version=__version__,
    message:
        "Reading and de-identifying part {wildcards.shard} of {wildcards.shards} of the images."
    shell:
        "medvision ingest --shard {wildcards.shard}/{wildcards.shards}"
        " --config {params.config:q} > {log:q} 2>&1"


rule ingest:
    input:
        raw_archive(),
        ingest_marks(),
    output:
        manifest=layout.manifest,
        rejects=report(
            layout.rejects,
            caption="../report/rejects.rst",
            category="Cohort",
            labels=name_result("Files that were not converted"),
        ),
        sources=layout.sources,
        record=layout.record("ingest"),
    log:
        log_of("ingest"),
    benchmark:
        benchmark_of("ingest")
    conda:
        "../envs/medvision.yaml"
    threads: asked["ingest"].threads
    resources:
        **asked["ingest"].resources,
    params:
        config=config_of("ingest"),
        version=__version__,
    message:
        "Reading, checking and de-identifying the images."
    shell:
        "medvision ingest --defer-refusals --config {params.config:q} > {log:q} 2>&1"
