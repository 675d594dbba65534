import pandas as pd
import pytest

from faceptor.analysis import markdown
from faceptor.errors import DataError


def test_sentences_are_a_list_with_names_as_code():
    said = markdown.sentences(["age_morph2: mae 6.5 < 7 * 2 costs $1.", "All of `x_y` and aflw19@x."]).data
    assert said == "* `age_morph2`: mae 6.5 &lt; 7 \\* 2 costs \\$1.\n* All of `x_y` and aflw19@x."


def test_tables_show_few_digits_and_no_nan():
    frame = pd.DataFrame(
        {"skill": [0.12345, float("nan")], "faces": [12345, 7], "kept": [True, False]}, index=["a", "b"]
    )
    said = markdown.table(frame.rename_axis("task")).data.splitlines()
    assert said[0] == "| task | skill | faces | kept |" and said[1] == "| --- | ---: | ---: | --- |"
    assert said[2:] == ["| a | 0.123 | 12345 | yes |", "| b | – | 7 | no |"]


def test_nothing_to_say_is_an_error():
    with pytest.raises(DataError, match="at least one sentence"):
        markdown.sentences([])
    with pytest.raises(DataError, match="at least one row"):
        markdown.table(pd.DataFrame(columns=["task"]))
