"""What this extension adds to Metaflow; `box run` puts it on PYTHONPATH."""

STEP_DECORATORS_DESC = [("boxrecord", ".boxrecord.BoxRecord"), ("vram", ".vram.Vram")]
