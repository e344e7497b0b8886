# The maps of a share are no outputs here: its record stands for them.
rule explain_shard:
    input:
        layout.predictions,
        layout.record("predict"),
        layout.step("plan") / "plan.json",
        layout.record("plan"),
    output:
        cases=explained_file("cases.npz"),
        record=explained_file("record.json"),
    log:
        log_of("explain/shard-{shard}-of-{shards}"),
    benchmark:
        benchmark_of("explain-shard-{shard}-of-{shards}")
    conda:
        "../envs/medvision.yaml"
    threads: asked["explain_shard"].threads
    resources:
        **asked["explain_shard"].resources,
    params:
        config=config_of("explain"),
        version=__version__,
    message:
        "Attributing and checking part {wildcards.shard} of {wildcards.shards} of the test predictions."
    shell:
        "medvision explain --shard {wildcards.shard}/{wildcards.shards}"
        " --config {params.config:q} > {log:q} 2>&1"


rule explain:
    input:
        explained_shares(),
        layout.predictions,
        layout.record("predict"),
        layout.step("plan") / "plan.json",
        layout.record("plan"),
    output:
        selection=layout.selection,
        attributions=layout.attributions,
        checks=layout.checks,
        verdicts=layout.table("explain", "verdicts"),
        influence=layout.table("explain", "influence"),
        cascade=layout.table("explain", "cascade"),
        stability=layout.table("explain", "stability"),
        peaks=layout.table("explain", "peaks"),
        summary=layout.explain_summary,
        maps=directory(layout.root / "explain" / "maps"),
        record=layout.record("explain"),
    log:
        log_of("explain"),
    benchmark:
        benchmark_of("explain")
    conda:
        "../envs/medvision.yaml"
    threads: asked["explain"].threads
    resources:
        **asked["explain"].resources,
    params:
        config=config_of("explain"),
        version=__version__,
    message:
        "Attributing test predictions and checking the attributions."
    shell:
        "medvision explain --config {params.config:q} > {log:q} 2>&1"
