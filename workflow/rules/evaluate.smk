rule evaluate:
    input:
        layout.predictions,
        layout.table("predict", "temperatures"),
        layout.record("predict"),
    output:
        metrics=layout.metrics,
        table=report(
            layout.root / "evaluate" / "metrics.tsv",
            caption="../report/metrics.rst",
            category="Performance",
            labels=name_result("All figures with intervals"),
        ),
        subgroups=subgroup_table(),
        record=layout.record("evaluate"),
    log:
        log_of("evaluate"),
    benchmark:
        benchmark_of("evaluate")
    conda:
        "../envs/medvision.yaml"
    threads: asked["evaluate"].threads
    resources:
        **asked["evaluate"].resources,
    params:
        config=config_of("evaluate"),
        version=__version__,
    message:
        "Computing statistics with intervals on held-out subjects."
    shell:
        "medvision evaluate --config {params.config:q} > {log:q} 2>&1"
