#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tools/import-telegraf: what carries over does so exactly, what does not is listed with its line,
and no input, however broken, ends in a traceback.

KWM_SEED and KWM_RUNS set the seed and the number of runs of the mutation loop.
"""

import contextlib
import importlib.machinery
import importlib.util
import io
import json
import os
import random
import re
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
DATA = ROOT / "tests" / "data" / "telegraf"
OUTPUT = '[[outputs.http]]\nurl = "https://h:1/restapi/telegraf?db=d"\n'
INFLUX = '[[outputs.http]]\nurl = "https://h:1/write?db=d"\n'


def load():
    sys.dont_write_bytecode = True  # the tool's name makes an odd one
    loader = importlib.machinery.SourceFileLoader("import_telegraf",
                                                  str(ROOT / "tools" / "import-telegraf"))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


importer = load()


def run(path, *more):
    """Exit status, standard output and standard error of one call."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = importer.main([str(path), *more])
    return status, out.getvalue(), err.getvalue()


def run_text(text):
    data = text if isinstance(text, bytes) else text.encode("utf-8")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.conf"
        path.write_bytes(data)
        status, out, err = run(path)
        return status, out, err.replace(str(path), "t.conf")


def document(out):
    """The JSON behind the comments at the top."""
    lines = out.split("\n")
    while lines and lines[0].startswith("//"):
        lines.pop(0)
    return json.loads("\n".join(lines))


class Whole(unittest.TestCase):
    def test_documented_block(self):
        status, out, err = run(DATA / "kwdb-block.conf")
        self.assertEqual(status, 0)
        self.assertNotIn("not carried over", err)
        self.assertEqual(document(out)["outputs"], {"http": {
            "url": "https://your-host-ip:port/restapi/telegraf?db=db1",
            "timeout": "5s",
            "method": "POST",
            "data_format": "influx",
            "headers": {"Authorization": "Basic cm9vdDprd2RicGFzc3dvcmQ="},
        }})
        self.assertIn("cpu", document(out)["inputs"])

    def test_gateway(self):
        status, out, err = run(DATA / "gateway.conf")
        self.assertEqual(status, 1)
        text = (DATA / "gateway.conf").read_text().split("\n")
        lost = re.findall(r"gateway\.conf:(\d+): (\S+): not carried over: ", err)
        expected = [
            ("global_tags.Floor", "Floor ="), ("global_tags.remark", "remark ="),
            ("agent.logfile_rotation_interval", "logfile_rotation_interval ="),
            ("outputs.http[0].method", "method ="),
            ("outputs.http[0].content_encoding", "content_encoding ="),
            ("outputs.http[0].headers.Content-Type", "Content-Type ="),
            ("outputs.influxdb_v2[0]", "[[outputs.influxdb_v2]]"),
            ("inputs.net[0].tagdrop", "[inputs.net.tagdrop]"),
            ("inputs.docker[0]", "[[inputs.docker]]"), ("inputs.file[0]", "[[inputs.file]]"),
            ("processors.rename[0]", "[[processors.rename]]"),
        ]
        self.assertEqual([what for _, what in lost], [what for what, _ in expected])
        for (line, _), (_, start) in zip(lost, expected, strict=True):
            self.assertTrue(text[int(line) - 1].strip().startswith(start), f"{line}: {start}")
        for _, what in lost:
            self.assertIn(what, out.split("{", 1)[0])
        result = document(out)
        self.assertEqual(result["agent"]["debug"], "${DEBUG}")
        self.assertEqual(result["agent"]["flush_interval"], 30)
        self.assertEqual(result["global_tags"], {"site": "plant-3", "line": "${LINE:-7}"})
        self.assertEqual(result["outputs"]["http"]["password"], "${KWDB_PASSWORD}")
        self.assertEqual(result["outputs"]["http"]["headers"], {"X-Site": "plant-3"})
        self.assertNotIn("method", result["outputs"]["http"])
        self.assertEqual(list(result["inputs"]), ["cpu", "disk", "mem", "net"])
        self.assertEqual(result["inputs"]["disk"], [
            {"ignore_fs": ["tmpfs", "devtmpfs"]},
            {"alias": "data", "mount_points": ["/data"], "interval": "5m",
             "fieldinclude": ["used_percent", "free"], "tags": {"role": "data"}},
        ])
        self.assertEqual(result["inputs"]["net"], {"interfaces": ["eth*"]})

    def test_influxdb(self):
        status, out, err = run(DATA / "influxdb.conf")
        self.assertEqual((status, err), (0, ""))
        result = document(out)
        self.assertEqual(result["global_tags"], {"dc": "us east"})
        self.assertIs(result["agent"]["omit_hostname"], True)
        self.assertEqual(result["outputs"]["http"]["headers"],
                         {"Authorization": "Token ${INFLUX_TOKEN}"})
        self.assertEqual(result["inputs"], {"system": {}, "swap": {}, "temp": {}})


# text, line, what, a part of why. Each gives exactly this one loss.
LOSSES = [
    (OUTPUT + '[agent]\ninterval = "10sec"', 4, "agent.interval", "not a duration"),
    (OUTPUT + '[agent]\ninterval = "1ms"', 4, "agent.interval", "100 ms to 86400000 ms"),
    (OUTPUT + '[agent]\ninterval = "1.5us"', 4, "agent.interval", "whole milliseconds"),
    (OUTPUT + "[agent]\ninterval = true", 4, "agent.interval", "a duration is expected"),
    (OUTPUT + "[agent]\ninterval = nan", 4, "agent.interval", "milliseconds"),
    (OUTPUT + "[agent]\nmetric_batch_size = 5000", 4, "agent.metric_batch_size", "1 to 1000"),
    (OUTPUT + "[agent]\nmetric_batch_size = 1.5", 4, "agent.metric_batch_size", "whole number"),
    (OUTPUT + '[agent]\nround_interval = "yes"', 4, "agent.round_interval", "true or false"),
    (OUTPUT + '[agent]\nhostname = "a b"', 4, "agent.hostname", "no blank"),
    (OUTPUT + '[agent]\nhostname = "' + 65 * "a" + '"', 4, "agent.hostname", "0 to 64 bytes"),
    (OUTPUT + '[agent]\nhostname = "$HOSTNAME"', 4, "agent.hostname", "not $NAME"),
    (OUTPUT + '[agent]\nlogfile = "${A:?no}"', 4, "agent.logfile", "${NAME:-default} only"),
    (OUTPUT + '[agent]\nlogfile = "${A"', 4, "agent.logfile", "${NAME:-default} only"),
    (OUTPUT + '[agent]\nlogfile = "@{store:key}"', 4, "agent.logfile", "secret stores"),
    (OUTPUT + '[agent]\nlogfile = "a\\u0000b"', 4, "agent.logfile", "NUL"),
    (OUTPUT + "[agent]\nlogfile = 1979-05-27", 4, "agent.logfile", "a string is expected"),
    (OUTPUT + '[agent]\nprecision = "1s"', 4, "agent.precision", "whole milliseconds"),
    (OUTPUT + '[agent]\nbuffer_strategy = "disk"', 4, "agent.buffer_strategy", "spool"),
    (OUTPUT + "[agent]\nomit_hostname = true", 4, "agent.omit_hostname", "\"host\""),
    (OUTPUT + "[agent]\nzzz = 1", 4, "agent.zzz", "no such key"),
    (OUTPUT + "[agent]\n\n# x\n\"z z\" = 1", 6, "agent.z z", "no such key"),
    (OUTPUT + '[agent]\nlogfile = """\nzz = 1\n"""\nzz = {}', 7, "agent.zz", "no such key"),
    ("agent = 1\n" + OUTPUT, 1, "agent", "a table is expected"),
    (OUTPUT + '[global_tags]\nhost = "a"', 4, "global_tags.host", "\"agent\""),
    (OUTPUT + "[global_tags]\na = 1", 4, "global_tags.a", "a tag is a string"),
    (OUTPUT + '[global_tags]\na = ""', 4, "global_tags.a", "not empty"),
    (OUTPUT + '[global_tags]\nk_timestamp = "a"', 4, "global_tags.k_timestamp", "k_timestamp"),
    (INFLUX + '[global_tags]\ntime = "a"', 4, "global_tags.time", "taken"),
    ("[[inputs.cpu]]", 1, "outputs", "no [[outputs.http]]"),
    ("[[outputs.http]]", 1, "outputs.http[0]", "no url"),
    (OUTPUT + "[[outputs.http]]\n", 3, "outputs.http[1]", "the first was taken"),
    (OUTPUT + "[[outputs.kafka]]\n", 3, "outputs.kafka[0]", "one output"),
    ('[[outputs.http]]\nurl = "http://h/restapi/telegraf?db=d"', 2, "outputs.http[0].url", "https"),
    (OUTPUT + "use_batch_format = false", 3, "outputs.http[0].use_batch_format", "batches"),
    (OUTPUT + "non_retryable_statuscodes = [409]", 3,
     "outputs.http[0].non_retryable_statuscodes", "reads the reply"),
    (OUTPUT + 'data_format = "json"', 3, "outputs.http[0].data_format", "line protocol"),
    (OUTPUT + 'tls_min_version = "TLS10"', 3, "outputs.http[0].tls_min_version", "TLS13"),
    (OUTPUT + "headers = 7", 3, "outputs.http[0].headers", "a table is expected"),
    (OUTPUT + 'headers = { "Host" = "x" }', 3, "outputs.http[0].headers.Host", "itself"),
    (OUTPUT + 'headers = { "Password" = "x" }', 3, "outputs.http[0].headers.Password", "username"),
    (OUTPUT + 'headers = { "a b" = "x" }', 3, "outputs.http[0].headers.a b", "not the name"),
    (OUTPUT + "max_idle_conn = 3", 3, "outputs.http[0].max_idle_conn", "no such key"),
    (OUTPUT + "[[inputs.cpu]]\n[[inputs.cpu]]\nx = 1", 5, "inputs.cpu[1].x", "no such key"),
    (OUTPUT + "[inputs.cpu]\ncore_tags = true", 4, "inputs.cpu.core_tags", "no such key"),
    (OUTPUT + "[[inputs.cpu]]\npercpu = 1", 4, "inputs.cpu[0].percpu", "true or false"),
    (OUTPUT + '[[inputs.cpu]]\nname_override = "CPU"', 4, "inputs.cpu[0].name_override", "a-z"),
    (OUTPUT + '[[inputs.cpu]]\nname_prefix = "x"', 4, "inputs.cpu[0].name_prefix", "name_override"),
    (OUTPUT + '[[inputs.cpu]]\n[inputs.cpu.tags]\nhost = "x"', 5, "inputs.cpu[0].tags.host",
     "\"agent\""),
    (OUTPUT + '[[inputs.cpu]]\n[inputs.cpu.tagpass]\ncpu = ["cpu0"]', 4, "inputs.cpu[0].tagpass",
     "own options"),
    (OUTPUT + "[[inputs.disk]]\nmount_points = [1]", 4, "inputs.disk[0].mount_points", "strings"),
    (OUTPUT + "[[inputs.snmp]]\n[[inputs.snmp.field]]\noid = 1", 3, "inputs.snmp[0]",
     "no such input"),
    (OUTPUT + "[[aggregators.basicstats]]", 3, "aggregators.basicstats[0]", "no aggregators"),
    (OUTPUT + "[zzz]\na = 1", 4, "zzz.a", "no such section"),
    (OUTPUT + "[[inputs]]", 3, "inputs", "a table is expected"),  # an array
    ("inputs.cpu = [1]\n" + OUTPUT, 1, "inputs.cpu[0]", "a table is expected"),
]

# Whatever stands behind [agent] here carries over as it is.
KEPT = ['interval = "1m30s"', "interval = 10", "interval = 0.5", 'interval = "${I}"',
        'interval = "1.5h"', 'interval = "200000us"', 'interval = "30"', "metric_batch_size = 200",
        'metric_batch_size = "${N}"', 'debug = "${D:-false}"', 'precision = "1ms"',
        'logformat = "text"', 'logfile = "$${x}"', 'logfile = "a$1"', 'hostname = ""',
        "skip_processors_after_aggregators = true"]


class Pieces(unittest.TestCase):
    def test_losses(self):
        for text, line, what, why in LOSSES:
            with self.subTest(text=text):
                status, out, err = run_text(text)
                self.assertEqual(status, 1, err)
                lost = [row for row in err.split("\n") if "not carried over" in row]
                self.assertEqual(len(lost), 1, err)
                self.assertTrue(lost[0].startswith(f"t.conf:{line}: {what}: not carried"), lost[0])
                self.assertIn(why, lost[0])
                self.assertIn(f"//   line {line}: {what}: ", out)
                document(out)

    def test_kept(self):
        for line in KEPT:
            with self.subTest(line=line):
                status, out, err = run_text(OUTPUT + "[agent]\n" + line)
                self.assertEqual(status, 0, err)
                key, value = line.split(" = ")
                self.assertEqual(document(out)["agent"], {key: json.loads(value)})

    def test_bare_variable(self):
        status, out, _ = run_text(OUTPUT + "[agent]\n  metric_batch_size = ${N}  # rows\n")
        self.assertEqual(status, 0)
        self.assertEqual(document(out)["agent"]["metric_batch_size"], "${N}")

    def test_old_names(self):
        status, out, _ = run_text(OUTPUT + '[[inputs.mem]]\nfieldpass=["a"]\nfielddrop=["b"]')
        self.assertEqual(status, 0)
        self.assertEqual(document(out)["inputs"],
                         {"mem": {"fieldinclude": ["a"], "fieldexclude": ["b"]}})

    def test_values_stay_secret(self):
        text = ('[agent]\nhostname = "hunter2 x"\nlogfile = "@{hunter2}"\n'
                '[[outputs.http]]\nurl = "http://hunter2/restapi/telegraf"\npassword = "$hunter2"\n'
                'token = "hunter2"\nheaders = { Password = "hunter2" }\n'
                '[global_tags]\na = "hunter2 "')
        status, out, err = run_text(text)
        self.assertEqual(status, 1)
        self.assertNotIn("hunter2", err)
        self.assertNotIn("hunter2", out.split("{", 1)[0])

    def test_comment_cannot_be_left(self):
        _, out, err = run_text(OUTPUT + '[agent]\n"a\\n\\u001b{}" = 1')
        self.assertIn("agent.a??{}", err)
        self.assertEqual(document(out)["agent"], {})


class Unreadable(unittest.TestCase):
    def check(self, status, out, err, text):
        self.assertEqual((status, out), (2, ""))
        self.assertIn(text, err)
        self.assertEqual(err.count("\n"), 1)

    def test_missing(self):
        self.check(*run("/nonexistent/telegraf.conf"), "No such file")

    def test_not_toml(self):
        self.check(*run_text("[agent\nx = 1"), "is not TOML (at line 1")
        self.check(*run_text("a = " + 3000 * "[" + "\n"), "is not TOML")
        self.check(*run_text("a = 1\n[agent]\npassword = hunter2"), "line 3")
        self.assertNotIn("hunter2", run_text("[agent]\npassword = hunter2")[2])

    def test_not_utf8(self):
        self.check(*run_text(b"a = '\xff'"), "is not UTF-8")

    def test_output(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "k.json"
            self.assertEqual(run(DATA / "influxdb.conf", "-o", str(path)), (0, "", ""))
            self.assertEqual(document(path.read_text()), document(run(DATA / "influxdb.conf")[1]))
            status, out, err = run(DATA / "influxdb.conf", "-o", folder)
            self.check(status, out, err, "Is a directory")


class Tables(unittest.TestCase):
    """The importer's tables are those of the firmware."""

    def setUp(self):
        self.source = (ROOT / "firmware" / "config_tables.c").read_text()

    def body(self, name):
        return re.search(name + r"\[\] = \{(.*?)\n\};", self.source, re.DOTALL)[1]

    def defs(self, name):
        return set(re.findall(r'\.key = "(\w+)"', self.body(name)))

    def foreign(self, name):
        """Keys with the values that are accepted."""
        rows = re.findall(r'\{"(\w+)",\s*(NULL|"[^"]*"),', self.body(name))
        return {key: set(values.strip('"').split("|")) for key, values in rows if values != "NULL"}

    def test_keys(self):
        ours = {"urls", "dialect", "password_file", "auth"}  # not Telegraf's
        self.assertEqual(self.defs("kwm_config_agent_defs") - {"spool"}, set(importer.AGENT))
        self.assertEqual(self.defs("kwm_config_http_defs") - ours, set(importer.HTTP))
        self.assertEqual(self.defs("kwm_config_input_defs"), set(importer.SHARED))

    def test_harmless(self):
        words = {True: "true", False: "false"}
        for name, table in (("agent", importer.AGENT_HARMLESS), ("http", importer.HTTP_HARMLESS),
                            ("input", importer.INPUT_HARMLESS)):
            firmware = self.foreign(f"kwm_config_{name}_foreign")
            self.assertEqual(set(firmware), set(table), name)
            for key, values in table.items():
                mine = {"[]" if value == [] else words.get(value, value) for value in values}
                self.assertEqual(firmware[key], mine, key)


class Mutations(unittest.TestCase):
    """Texts that are changed at random never give a traceback, nor a result that is not JSON."""

    GRAINS = ["[", "]", "[[", "]]", "{", "}", "=", '"', "'", '"""', "\n", "#", ",", ".", "\\", "$",
              "${", "\\u0000", "true", "1e400", "nan", "-1", "1979-05-27T07:32:00Z", "inputs",
              "outputs", "agent", "http", "url", "tags", "\ufeff", "\u2028", "\x00", "\r"]

    def mutate(self, rng, text):
        for _ in range(rng.randint(1, 6)):
            at = rng.randrange(len(text) + 1)
            kind = rng.randrange(4)
            if kind == 0:
                text = text[:at] + rng.choice(self.GRAINS) + text[at:]
            elif kind == 1:
                text = text[:at] + text[at + rng.randint(1, 20):]
            elif kind == 2:
                lines = text.split("\n")
                line = lines.pop(rng.randrange(len(lines)))
                lines.insert(rng.randint(0, len(lines)), line)
                text = "\n".join(lines)
            else:
                text = text[:at] + chr(rng.randrange(1, 0x250)) + text[at + 1:]
        return text

    def test_never_a_traceback(self):
        seed = int(os.environ.get("KWM_SEED", "20260711"), 0)
        runs = int(os.environ.get("KWM_RUNS", "1500"), 0)
        rng = random.Random(seed)
        seeds = [path.read_text() for path in sorted(DATA.glob("*.conf"))]
        seeds += [text for text, *_ in LOSSES]
        read = 0
        for i in range(runs):
            text = self.mutate(rng, rng.choice(seeds))
            with self.subTest(seed=seed, run=i, text=text):
                status, out, _ = run_text(text.encode("utf-8", "replace"))
                self.assertIn(status, (0, 1, 2))
                if status != 2:
                    read += 1
                    self.assertIsInstance(document(out), dict)
                else:
                    self.assertEqual(out, "")
        self.assertGreater(read, runs // 10)


if __name__ == "__main__":
    unittest.main()
