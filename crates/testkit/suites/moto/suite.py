"""Runs the tests with a new cloud before each, and compares the outcome with the list in moto.json.

The list says which tests do not pass, of which kind each is, and why. A test that changes sides fails the run, whichever
side it goes to; so does a test that is no longer collected, or one more that is skipped.
"""

import json
import os
import sys
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

LIST = Path(__file__).parent.parent / "moto.json"
SUITES = ["tests/test_sqs/test_sqs.py", "tests/test_dynamodb/test_dynamodb_statements.py", "tests/test_cloudwatch"]
KINDS = ["not claimed", "assumption of moto", "ours"]


class Outcomes:
    """A plugin for pytest."""

    def __init__(self):
        self.of = {}
        self.texts = {}

    def pytest_runtest_setup(self, item):
        endpoint = os.environ["TEST_SERVER_MODE_ENDPOINT"]
        urlopen(Request(f"{endpoint}/api/v1/reset", method="POST"), timeout=30).read()

    def pytest_runtest_logreport(self, report):
        if report.when == "call" or report.outcome != "passed":
            broke = report.failed and report.when != "call"
            self.of[report.nodeid] = "broken" if broke else report.outcome
            if report.failed:
                self.texts[report.nodeid] = str(report.longrepr).strip().splitlines()[-1]

    def ids(self, outcome):
        return sorted(test for test, of in self.of.items() if of == outcome)


def main():
    outcomes = Outcomes()
    pytest.main(["-q", "--color=no", "-p", "no:cacheprovider", "--tb=short", "--no-summary", *SUITES], plugins=[outcomes])
    failed, skipped = outcomes.ids("failed"), outcomes.ids("skipped")
    listed = json.loads(LIST.read_text())
    if "--write" in sys.argv:
        write(listed, outcomes, failed, skipped)
        return
    complaints = [f"collected {len(outcomes.of)}, not {listed['collected']}"] * (len(outcomes.of) != listed["collected"])
    complaints += [f"skipped {len(skipped)}, not {listed['skipped']}"] * (len(skipped) != listed["skipped"])
    expected = {test for group in listed["not_passed"] for test in group["tests"]}
    complaints += [f"passed before: {test}: {outcomes.texts[test]}" for test in failed if test not in expected]
    complaints += [f"passes now, or is gone: {test}" for test in sorted(expected.difference(failed))]
    complaints += [f"broke before or after it ran: {test}: {outcomes.texts[test]}" for test in outcomes.ids("broken")]
    complaints += [f"of no kind: {group['kind']}" for group in listed["not_passed"] if group["kind"] not in KINDS]
    print(table(outcomes, listed))
    sys.exit("\n".join(complaints) or None)


def table(outcomes, listed):
    rows = [["suite", "collected", "skipped", "passed", *KINDS]]
    for suite in SUITES:
        of = [test for test in outcomes.of if test.startswith(suite)]
        counts = [sum(outcomes.of[test] == outcome for test in of) for outcome in ["skipped", "passed"]]
        kinds = [
            sum(test.startswith(suite) for group in listed["not_passed"] if group["kind"] == kind for test in group["tests"])
            for kind in KINDS
        ]
        rows.append([suite, len(of), *counts, *kinds])
    return "\n".join("  ".join(str(cell).ljust(20 if column else 48) for column, cell in enumerate(row)) for row in rows)


def write(listed, outcomes, failed, skipped):
    groups = [{**group, "tests": [test for test in group["tests"] if test in failed]} for group in listed["not_passed"]]
    known = {test for group in groups for test in group["tests"]}
    groups += [{"kind": "?", "why": outcomes.texts[test], "tests": [test]} for test in failed if test not in known]
    written = {
        "suite": listed["suite"],
        "collected": len(outcomes.of),
        "skipped": len(skipped),
        "not_passed": [group for group in groups if group["tests"]],
    }
    LIST.write_text(json.dumps(written, indent=2) + "\n")


main()
