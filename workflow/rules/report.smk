rule report:
    input:
        layout.metrics,
        layout.record("evaluate"),
        layout.record("plan"),
        layout.record("explain"),
        comparison(),
        shortcut_audit(),
        synthesised(),
        gates(),
        ablation(),
    output:
        html=report(
            layout.report_html,
            caption="../report/report.rst",
            category="Report",
            labels=name_result("The report"),
        ),
        facts=layout.report_json,
        study=layout.step("report") / "study.json",
        model_card=layout.model_card,
        model_card_json=layout.model_card.with_suffix(".json"),
        checklists=report(
            layout.table("report", "checklists"),
            caption="../report/checklists.rst",
            category="Report",
            labels=name_result("Reporting checklists"),
        ),
        performance=performance_figures(),
        transfer=transfer_figures(),
        ablation=ablation_figures(),
        training=figure("training", "Training"),
        flow=figure("flow", "Cohort"),
        explanations=explanation_figures(),
        record=layout.record("report"),
    log:
        log_of("report"),
    benchmark:
        benchmark_of("report")
    conda:
        "../envs/medvision.yaml"
    threads: asked["report"].threads
    resources:
        **asked["report"].resources,
    params:
        config=config_of("report"),
        version=__version__,
    message:
        "Writing the report."
    shell:
        "medvision report --config {params.config:q} > {log:q} 2>&1"
