# The tables that say why a cohort is refused (leakage, quality, unmatched) are no outputs here:
# Snakemake would delete them just when the message points at them.
rule cohort:
    input:
        labels=labels_file(),
        manifest=layout.manifest,
        record=layout.record("ingest"),
        measured=layout.record("measure"),
    output:
        cohort=layout.cohort,
        folds=layout.folds,
        balance=report(
            layout.balance,
            caption="../report/balance.rst",
            category="Cohort",
            labels=name_result("Images and subjects of each split"),
        ),
        summary=layout.cohort_summary,
        headers=layout.table("cohort", "headers"),
        record=layout.record("cohort"),
    log:
        log_of("cohort"),
    benchmark:
        benchmark_of("cohort")
    conda:
        "../envs/medvision.yaml"
    threads: asked["cohort"].threads
    resources:
        **asked["cohort"].resources,
    params:
        config=config_of("cohort"),
        version=__version__,
    message:
        "Joining labels, judging quality, looking for leakage, splitting subjects into folds."
    shell:
        "medvision cohort --config {params.config:q} > {log:q} 2>&1"
