"""The package finds the program and passes everything through."""

import os
import stat
import subprocess
import sys
import tempfile
import unittest

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "src")
sys.path.insert(0, SOURCE)

import esptool  # noqa: E402

# The program to test with, if there is one.
PROGRAM = os.environ.get("GURU")

FAKE = """#!/bin/sh
echo "$@"
echo problem >&2
exit {code}
"""


def module(arguments, **environment):
    """Runs ``python -m esptool``."""
    variables = dict(os.environ, PYTHONPATH=SOURCE, **environment)
    return subprocess.run(
        [sys.executable, "-m", "esptool"] + arguments,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
        timeout=60,
    )


class Find(unittest.TestCase):
    def test_the_environment_names_the_program(self):
        self.assertEqual(esptool.find({"GURU": sys.executable}), os.path.abspath(sys.executable))

    def test_a_name_that_is_wrong_is_told(self):
        with self.assertRaisesRegex(esptool.NotFound, "GURU is '/no/guru'"):
            esptool.find({"GURU": "/no/guru", "PATH": os.environ["PATH"]})

    def test_without_a_program_it_is_said_what_to_do(self):
        with self.assertRaisesRegex(esptool.NotFound, "PATH"):
            esptool.find({"PATH": "/nonexistent"})


@unittest.skipIf(sys.platform == "win32", "needs a shell script as the program")
class PassThrough(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def fake(self, code):
        path = os.path.join(self.folder, "guru")
        with open(path, "w") as file:
            file.write(FAKE.format(code=code))
        os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)
        return path

    def test_arguments_output_and_exit_code_pass(self):
        result = module(["-p", "a b", "flash-id"], GURU=self.fake(2))
        self.assertEqual(result.stdout, "esptool -p a b flash-id\n")
        self.assertEqual(result.stderr, "problem\n")
        self.assertEqual(result.returncode, 2)

    def test_the_path_is_searched(self):
        self.fake(0)
        path = self.folder + os.pathsep + os.environ["PATH"]
        self.assertEqual(module(["version"], GURU="", PATH=path).stdout, "esptool version\n")

    def test_main_raises_when_the_command_fails(self):
        os.environ["GURU"] = self.fake(1)
        self.addCleanup(os.environ.pop, "GURU")
        with self.assertRaises(SystemExit) as raised:
            esptool.main(["bogus"])
        self.assertEqual(raised.exception.code, 1)
        os.environ["GURU"] = self.fake(0)
        self.assertIsNone(esptool.main(["version"]))
        with self.assertRaises(TypeError):
            esptool.main(["version"], esp=object())

    def test_a_missing_program_is_a_fatal_error(self):
        result = module(["version"], GURU="/no/guru")
        self.assertEqual(result.returncode, 2)
        self.assertIn("A fatal error occurred: ", result.stderr)


@unittest.skipUnless(PROGRAM, "GURU names no program to run")
class Real(unittest.TestCase):
    def test_the_version_is_the_level_of_compatibility(self):
        result = module(["version"], GURU=PROGRAM)
        self.assertEqual(result.returncode, 0, result.stderr)
        first, last = result.stdout.splitlines()
        self.assertTrue(first.startswith("esptool v" + esptool.__version__), first)
        self.assertEqual(last, esptool.__version__)

    def test_a_simulated_chip_is_written_as_build_systems_do(self):
        with tempfile.TemporaryDirectory() as folder:
            app = os.path.join(folder, "app.bin")
            with open(app, "wb") as file:
                file.write(bytes(range(256)) * 8)
            result = module(
                ["--chip", "esp32c3", "-p", "sim://esp32c3", "-b", "460800"]
                + ["--before", "default_reset", "--after", "hard_reset"]
                + ["write_flash", "--flash_mode", "dio", "0x10000", app],
                GURU=PROGRAM,
            )
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("Hash of data verified.\n", result.stdout)


if __name__ == "__main__":
    unittest.main()
