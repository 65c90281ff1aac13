"""The variants of an ablation: one thing is added at a time."""

from speq.modes import MODES
from speq.parameters import PRESETS
from speq.variants import VERIFY_ONLY, ablation


def test_variants_differ_in_modes_and_lanes_alone() -> None:
    base = PRESETS["tiny"].replace(tokens=2, draft_activations="bfp8")
    variants = ablation(base)
    assert {label: design.modes[1:] for label, design in variants.items()} == {
        VERIFY_ONLY: (),
        "+draft(1)": ("draft",),
        "+draft(4)": ("draft",),
        "+middle": ("middle",),
        "+qspec": ("qdraft", "qverify"),
        "all": MODES[1:],
    }
    lanes = {label: design.lanes for label, design in variants.items()}
    assert lanes == {
        VERIFY_ONLY: 1, "+draft(1)": 1, "+draft(4)": 4, "+middle": 1, "+qspec": 4, "all": 4
    }  # fmt: skip
    changed = {"name", "modes", "draft_lanes", "draft_activations"}
    for design in variants.values():
        fields = design.as_dict().items()
        assert {name for name, value in fields if value != base.as_dict()[name]} <= changed
    assert variants["all"].activation_format == "bfp8"
    assert variants["+draft(1)"].activation_format == "fp16"


def test_every_variant_has_a_name_of_its_own() -> None:
    names = [design.name for design in ablation(PRESETS["small"]).values()]
    assert len(set(names)) == len(names)
    assert "small_draft_4" in names


def test_a_design_of_any_modes_can_be_the_base() -> None:
    for modes in (("verify",), MODES):
        labels = ablation(PRESETS["tiny"].replace(modes=modes))
        assert list(labels) == list(ablation(PRESETS["tiny"]))
