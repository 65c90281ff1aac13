"""A cell library of four cells with round power tables, made up for the tests of energy."""

from pathlib import Path

_TIMES = """timing () {{ related_pin : "{pin}"; timing_sense : {sense}; {kind}
    cell_rise (grid) {{ index_1 ("0.1, 0.5"); index_2 ("0.01, 0.1"); values ("0.1, 0.2", "0.2, 0.3"); }}
    cell_fall (grid) {{ index_1 ("0.1, 0.5"); index_2 ("0.01, 0.1"); values ("0.1, 0.2", "0.2, 0.3"); }}
    rise_transition (grid) {{ index_1 ("0.1, 0.5"); index_2 ("0.01, 0.1"); values ("0.1, 0.3", "0.2, 0.4"); }}
    fall_transition (grid) {{ index_1 ("0.1, 0.5"); index_2 ("0.01, 0.1"); values ("0.1, 0.3", "0.2, 0.4"); }}
  }}"""  # noqa: E501


def _arc(pin: str, sense: str = "negative_unate", kind: str = "") -> str:
    return _TIMES.format(pin=pin, sense=sense, kind=kind)


def _constraint(kind: str) -> str:
    tables = " ".join(
        f'{edge}_constraint (scalar) {{ values ("0.05"); }}' for edge in ("rise", "fall")
    )
    return f'timing () {{ related_pin : "CK"; timing_type : {kind}_rising; {tables} }}'


TEXT = f"""/* Made up for the tests of energy. */
library (powered) {{
  delay_model : table_lookup; time_unit : "1ns"; capacitive_load_unit (1, pf);
  voltage_unit : "1V"; current_unit : "1mA"; leakage_power_unit : "1nW"; nom_voltage : 2.0;
  pulling_resistance_unit : "1kohm"; nom_process : 1; nom_temperature : 25;
  input_threshold_pct_rise : 50; input_threshold_pct_fall : 50;
  output_threshold_pct_rise : 50; output_threshold_pct_fall : 50;
  slew_lower_threshold_pct_rise : 20; slew_lower_threshold_pct_fall : 20;
  slew_upper_threshold_pct_rise : 80; slew_upper_threshold_pct_fall : 80;
  operating_conditions (typical) {{ process : 1; voltage : 2.0; temperature : 25; }}
  default_operating_conditions : typical;
  lu_table_template (grid) {{ variable_1 : input_net_transition; variable_2 : total_output_net_capacitance; index_1 ("0.1, 0.5"); index_2 ("0.01, 0.1"); }}
  power_lut_template (energy) {{ variable_1 : input_transition_time; variable_2 : total_output_net_capacitance; index_1 ("0.1, 0.5"); index_2 ("0.01, 0.11"); }}
  power_lut_template (inside) {{ variable_1 : input_transition_time; index_1 ("0.1, 0.5"); }}
  cell (INV) {{ area : 2; cell_leakage_power : 3;
    pin (A) {{ direction : input; capacitance : 0.01; }}
    pin (Y) {{ direction : output; max_capacitance : 1; function : "(!A)"; {_arc("A")}
      internal_power () {{ related_pin : "A";
        rise_power (energy) {{ index_1 ("0.1, 0.5"); index_2 ("0.01, 0.11"); \\
          values ("0.02, 0.04", "0.06, 0.08"); }}
        fall_power (energy) {{ index_1 ("0.1, 0.5"); index_2 ("0.01, 0.11"); \\
          values ("0.01, 0.02", "0.03, 0.04"); }} }} }} }}
  cell (BUF) {{ area : 4; cell_leakage_power : 3;
    pin (A) {{ direction : input; capacitance : 0.01; }}
    pin (Y) {{ direction : output; max_capacitance : 1; function : "A"; {_arc("A", "positive_unate")}
      internal_power () {{ related_pin : "A"; power (scalar) {{ values ("0.02"); }} }} }} }}
  cell (NAND) {{ area : 3; leakage_power () {{ when : "(A * B)"; value : 8; }}
    leakage_power () {{ when : "!A + !B"; value : 4; }}
    pin (A) {{ direction : input; capacitance : 0.01; }}
    pin (B) {{ direction : input; capacitance : 0.02;
      internal_power () {{ when : "!A"; power (inside) {{ index_1 ("0.1, 0.5"); values ("0.004, 0.004"); }} }} }}
    pin (Y) {{ direction : output; max_capacitance : 1; function : "(!(A B))"; {_arc("A")} {_arc("B")}
      internal_power () {{ related_pin : "A"; related_pg_pin : VDD;
        power (scalar) {{ values ("0.01"); }} }}
      internal_power () {{ related_pin : "A"; related_pg_pin : VSS;
        power (scalar) {{ values ("5"); }} }}
      internal_power () {{ related_pin : "B"; related_pg_pin : VDD;
        power (scalar) {{ values ("0.03"); }} }} }} }}
  cell (DFF) {{ area : 11; cell_leakage_power : 5;
    ff (IQ, IQN) {{ clocked_on : "CK"; next_state : "D"; }}
    pin (D) {{ direction : input; capacitance : 0.01; {_constraint("setup")} {_constraint("hold")}
      internal_power () {{ power (scalar) {{ values ("0.005"); }} }} }}
    pin (CK) {{ direction : input; clock : true; capacitance : 0.03;
      internal_power () {{ rise_power (scalar) {{ values ("0.1"); }} fall_power (scalar) {{ values ("0.3"); }} }} }}
    pin (Q) {{ direction : output; max_capacitance : 1; function : "IQ"; {_arc("CK", "non_unate", "timing_type : rising_edge;")}
      internal_power () {{ related_pin : "CK"; power (scalar) {{ values ("0.2"); }} }} }} }}
}}
"""  # noqa: E501


def write_power_library(folder: Path) -> Path:
    """Write it; its path."""
    path = folder / "powered.lib"
    path.write_text(TEXT)
    return path
