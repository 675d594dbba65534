"""The benchmark of preparation: what it generates, reads and reports, on a few records."""

import json

import pytest
from typer.testing import CliRunner

from faceptor.datasets import READERS
from faceptor.datasets.formats.images import verify
from tools import prepare_scale as scale


def test_the_pictures_carry_their_number():
    (first, *_) = scale.pictures(40)
    for number in (0, 1, 5_179_510):
        jpeg = scale.numbered(first, number)
        assert scale.number_in(jpeg) == number and (verify(jpeg).height, verify(jpeg).width) == (112, 112)


def test_the_generated_file_is_read_as_the_owner_publishes_it(tmp_path):
    facts = scale.generate(tmp_path, 130, quality=40)
    assert facts["records"] == 130 and facts["MB"] > 0
    records = list(READERS["ms1mv3"](tmp_path).read("train"))
    assert [int(record.key) for record in records] == [scale.number_in(record.image) for record in records]
    assert [records[i].identity for i in (0, 54, 55, 129)] == [0, 0, 1, 2]


@pytest.mark.slow
def test_the_command_reports_and_leaves_nothing(tmp_path):
    import typer

    app = typer.Typer()
    app.command()(scale.main)
    command = ["--records", "3000", "--out", str(tmp_path), "--reads", "500", "--json", "--verify", "header"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout[result.stdout.index("{\n") :])
    assert sum(report["convert"]["counts"].values()) == 3000 and report["read"]["records_per_second"] > 0
    assert report["convert"]["memory_MB"]["peak"] > 0 and not list(tmp_path.iterdir())
