"""``counterveil reasoner``: the served reasoner is found where the command says."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest

from counterveil import reasoning
from counterveil.categories import ControlCode

FACTORY = """
from counterveil.reasoning import QuestionAnswer
from counterveil.types import ModelInfo

class Reasoner:
    info = ModelInfo("python:served:Reasoner?an=option")
    supported_categories = None

    def answer(self, images, questions, codes, *, text=True):
        return [[QuestionAnswer(q, "Yes.", 0.75) for q in row] for row in questions]
"""


def serve(folder, *options):
    (folder / "served.py").write_text(FACTORY)
    command = [sys.executable, "-m", "counterveil", "reasoner", "serve", "python:served:Reasoner"]
    return subprocess.Popen(
        [*command, *options], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_serve_says_where_it_listens_and_a_profile_can_name_it(tmp_path):
    with serve(tmp_path, "--port", "0") as server:
        try:
            line = server.stdout.readline()  # written once it accepts connections
            spec = re.fullmatch(r'listening; in a profile: reasoner = "(chat:.*)"\n', line)[1]
            assert re.fullmatch(
                r"chat:http://127\.0\.0\.1:[1-9]\d*/v1#python:served:Reasoner", spec
            )
            client = reasoning.load(spec)
            image = np.zeros((8, 8, 3), np.uint8)
            answers = client.answer([image], [["Is it red?"]], [ControlCode({})])
            assert answers[0][0].p_yes == pytest.approx(0.75)
            server.send_signal(signal.SIGINT)
            assert server.wait(60) in (0, 130)
        finally:
            server.kill()


def test_serve_on_a_port_in_use_is_said(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with serve(tmp_path, "--port", port) as server:
            _, error = server.communicate()
    assert server.returncode == 2
    assert re.fullmatch(
        rf"counterveil: cannot listen on 127.0.0.1, port {port} \(.*\); choose another.*\n", error
    )
