import pytest

from speq.synthesis.cells import cell_class, cell_mix

CELLS = {
    "flip-flops": "DFFPOSX1 DFFHQNx1_ASAP7_75t_R sky130_fd_sc_hd__dfxtp_1 "
    "sky130_fd_sc_hd__edfxtp_1 DLLx1_ASAP7_75t_R LATCH SDFF_X1",
    "multiplexers and adders": "MUX2X1 FAX1 HA_X1 MAJx2_ASAP7_75t_R sky130_fd_sc_hd__fa_1",
    "XOR and XNOR": "XOR2X1 XNOR2xp5_ASAP7_75t_R sky130_fd_sc_hd__xnor2_1",
    "AOI and OAI": "AOI21X1 OAI22_X4 A2O1A1Ixp33_ASAP7_75t_R O2A1O1Ixp5_ASAP7_75t_R "
    "AO21x1_ASAP7_75t_R OA333x1_ASAP7_75t_R sky130_fd_sc_hd__a21oi_1 sky130_fd_sc_hd__o2bb2a_1",
    "NAND and NOR": "NAND2X1 NOR3xp33_ASAP7_75t_R sky130_fd_sc_hd__nand4bb_1",
    "AND and OR": "AND2X2 OR5x1_ASAP7_75t_R sky130_fd_sc_hd__or3b_1",
    "inverters and buffers": "INVX8 BUFX2 CLKBUF1 HB1xp67_ASAP7_75t_R CKINVDCx5p33_ASAP7_75t_R "
    "sky130_fd_sc_hd__clkinv_1 sky130_fd_sc_hd__dlygate4sd1_1",
    "others": "TIEHIx1_ASAP7_75t_R sky130_fd_sc_hd__conb_1 ICGx1_ASAP7_75t_R LOGIC0_X1",
}


@pytest.mark.parametrize(
    ("cell", "label"), [(cell, label) for label, cells in CELLS.items() for cell in cells.split()]
)
def test_a_cell_goes_by_its_name(cell, label):
    assert cell_class(cell) == label


def test_a_mix_counts_every_cell_once():
    cells = {"NAND2X1": 5, "NOR2X1": 2, "INVX1": 3, "strange": 1}
    mix = cell_mix(cells)
    assert mix == {"NAND and NOR": 7, "inverters and buffers": 3, "others": 1}
    assert sum(mix.values()) == sum(cells.values())
