rule publish:
    input:
        access_of("publish"),
        layout.bundle / "manifest.json",
        layout.record("audit"),
    output:
        record=layout.record("publish"),
    log:
        log_of("publish"),
    benchmark:
        benchmark_of("publish")
    conda:
        "../envs/medvision.yaml"
    threads: asked["publish"].threads
    resources:
        **asked["publish"].resources,
    params:
        config=config_of("publish"),
        version=__version__,
    message:
        "Putting the sealed bundle into the bucket."
    shell:
        "bucket_medvision publish --config {params.config:q} > {log:q} 2>&1"
