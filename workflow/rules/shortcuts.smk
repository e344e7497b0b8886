rule shortcuts:
    input:
        layout.predictions,
        layout.array_meta,
        [layout.record(name) for name in ("ingest", "cohort", "preprocess", "predict")],
        controls(),
    output:
        facts=layout.step("shortcuts") / "shortcuts.json",
        table=report(
            layout.table("shortcuts", "probes"),
            caption="../report/shortcuts.rst",
            category="Shortcuts",
            labels=name_result("What else tells the label"),
        ),
        controls=report(
            layout.table("shortcuts", "controls"),
            caption="../report/controls.rst",
            category="Shortcuts",
            labels=name_result("Labels shuffled, and split by slice"),
        ),
        shown=layout.table("shortcuts", "shown"),
        answers=layout.table("shortcuts", "answers"),
        record=layout.record("shortcuts"),
    log:
        log_of("shortcuts"),
    benchmark:
        benchmark_of("shortcuts")
    conda:
        "../envs/medvision.yaml"
    threads: asked["shortcuts"].threads
    resources:
        **asked["shortcuts"].resources,
    params:
        config=config_of("shortcuts"),
        version=__version__,
    message:
        "Asking whether the label shows in headers, background or border alone."
    shell:
        "medvision shortcuts --config {params.config:q} > {log:q} 2>&1"
