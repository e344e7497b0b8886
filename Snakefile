# The workflow lies in workflow/; this file lets `snakemake --cores all` work from here.
include: "workflow/Snakefile"


rule default:
    default_target: True
    input:
        rules.all.input,
    localrule: True
