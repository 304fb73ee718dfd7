"""The command ``unroll``: one subcommand a row of a table, each imported only when it is called."""

import argparse
import io
import json
import logging
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from unroll.checks import check_least, counted
from unroll.exceptions import message
from unroll.files import refusal
from unroll.hardware import DEVICES
from unroll.inference.server.options import MEANING, TOKEN, ServerOptions, token_of_environment
from unroll.inference.server.source import ANY_MODEL, FOLDERS, find_folder
from unroll.parsing import SHELLS, Completion, HelpFormatter, Parser, Version

FORMATS = ("txt", "csv", "tsv", "jsonl", "json", "parquet")  # of texts; completion imports nothing of inference
ENGINES = ("local", "spark", "ray")  # that score
_EXTRAS = {"pyspark": "spark", "ray": "ray", "pyarrow": "score"}  # of packages that only an option needs
CHUNK = 512  # texts that are read, predicted and printed together


class Command(NamedTuple):
    """A subcommand.

    Args:
        summary: for ``--help``.
        arguments: adds its arguments to a parser.
        run: does the work; raises ValueError for a mistake of the user.
        extra: of the package, with what the command needs.
    """

    summary: str
    arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], None]
    extra: str = "train"


def main() -> None:
    """Run the subcommand of the command line; a mistake of the user is one line and status 1, or 2 if it is there."""
    parser = make_parser()
    arguments = parser.parse_args()
    if "run" not in arguments:
        parser.print_help(sys.stderr)
        sys.exit(2)
    if isinstance(sys.stdout, io.TextIOWrapper):  # half of a character pair has no encoding, but JSON has an escape
        sys.stdout.reconfigure(encoding=None if sys.stdout.isatty() else "utf-8", errors="backslashreplace")
    try:
        arguments.run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    except BrokenPipeError:  # the reader has had enough, such as head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except ModuleNotFoundError as error:  # a plain installation predicts with exported models only
        if error.name is None or error.name.startswith("unroll"):
            raise
        package = error.name.partition(".")[0]
        extra = _EXTRAS.get(package, arguments.extra)
        sys.exit(f"error: {package} is not installed; accepted: an installation of unroll[{extra}]")
    except (ValueError, OSError) as error:
        if isinstance(error, OSError) and not refusal(error):
            raise
        sys.exit(f"error: {message(error)}")


def make_parser() -> argparse.ArgumentParser:
    parser = Parser(prog="unroll", description="Recurrent networks on text.")
    parser.add_argument("--version", action=Version, nargs=0, help="print the version")
    parser.add_argument(
        "--print-completion",
        action=Completion,
        choices=SHELLS,
        values={"format": FORMATS, "engine": ENGINES},
        help="print the file by which a shell completes this command",
    )
    commands = parser.add_subparsers(metavar="command")
    for name, command in COMMANDS.items():
        subparser = commands.add_parser(
            name, help=command.summary, description=command.summary, formatter_class=HelpFormatter
        )
        command.arguments(subparser)
        subparser.set_defaults(run=command.run, extra=command.extra)
    return parser


def _predict_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("text", nargs="*", metavar="TEXT", help="a text; without any, --file or standard input is read")
    _add_model(parser, "--model", ANY_MODEL)
    parser.add_argument(
        "--file", metavar="FILE", help="with texts: .txt (lines), .csv, .tsv, .jsonl, .parquet; - is standard input"
    )
    _add_format(parser)
    parser.add_argument("--json", action="store_true", help="JSON lines in a terminal too")
    _add_device(parser, "auto")
    parser.add_argument("--batch-size", metavar="N", type=int, default=64, help="texts that the model reads at once")
    parser.add_argument("--probabilities", action="store_true", help="those of all labels, and of entities")


def _predict(arguments: argparse.Namespace) -> None:
    for option in ("file", "format"):
        if arguments.text and vars(arguments)[option]:
            raise ValueError(f"TEXT and --{option}={vars(arguments)[option]}; accepted: one of them")
    check_least(1, **{"--batch-size": arguments.batch_size})
    if not arguments.text and not arguments.file and sys.stdin.isatty():
        raise ValueError("no text; accepted: TEXT, --file FILE, or texts in standard input")
    from unroll.inference.answers import is_empty
    from unroll.inference.pretty import pretty
    from unroll.inference.texts import STDIN, format_of, read_texts
    from unroll.loading import load

    given, file = [_utf8(text) for text in arguments.text], arguments.file or STDIN
    kind = None if given else format_of(file, arguments.format)
    predictor = load(arguments.model, arguments.device)
    texts = read_texts(file, kind, predictor.model.schema) if kind else iter(given)
    width = shutil.get_terminal_size().columns
    count, unusable, reason = 0, 0, None
    while chunk := list(islice(texts, CHUNK)):
        answers = predictor.predict(chunk, arguments.batch_size, "coerce", arguments.probabilities)
        for number, (text, answer) in enumerate(zip(chunk, answers, strict=True), start=count + 1):
            if is_empty(answer):
                unusable, reason = unusable + 1, reason or predictor.problem(text, f"text {number}")
            if arguments.json or not sys.stdout.isatty():
                print(_json_line(text, answer))
            else:
                print(pretty(text, answer, width))
        sys.stdout.flush()
        count += len(chunk)
    if unusable:
        print(
            f"{unusable} of {counted(count, 'text')} cannot be used by this model, their values are null: {reason}",
            file=sys.stderr,
        )


def _utf8(text: str) -> str:
    """A text of the command line, which Python has read in the encoding of the locale."""
    try:
        return os.fsencode(text).decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"TEXT {text!r} is not UTF-8 ({error.reason}); accepted: UTF-8") from error


def _json_line(text: Any, answer: dict[str, Any]) -> str:
    """The answer, after the text where it does not contain the tokens that were given."""
    row = answer if answer.get("tokens") == text is not None else {"text": text, **answer}
    return json.dumps(row, ensure_ascii=False)


def _export_arguments(parser: argparse.ArgumentParser) -> None:
    _add_model(parser, "model", FOLDERS)
    parser.add_argument(
        "--output", metavar="FOLDER", type=Path, help="to write; by default onnx/ and the end of MODEL's path"
    )
    parser.add_argument("--int8", action="store_true", help="smaller: large weights as 8-bit integers; needs --data")
    parser.add_argument("--data", metavar="FILE", help="with --int8: a file of texts, on which its labels are compared")
    _add_format(parser)


def _export(arguments: argparse.Namespace) -> None:
    if arguments.int8 != (arguments.data is not None):
        raise ValueError("--int8 and --data belong together; accepted: both, or none of them")
    from unroll.inference.model_folder import loading, read_folder
    from unroll.inference.texts import format_of, read_texts

    folder = find_folder(Path(arguments.model), FOLDERS)
    texts: list[Any] = []
    if arguments.int8:
        kind = format_of(arguments.data, arguments.format)
        with loading(folder):
            schema, _ = read_folder(folder)
        texts = list(read_texts(arguments.data, kind, schema))
    from unroll.inference.exporting.export import export  # PyTorch, which takes longer than finding a mistake

    parts = [part for part in folder.absolute().parts if part != "model"][-3:]
    output = arguments.output or Path("onnx", *parts)
    size, agreement = export(folder, output, arguments.int8, texts)
    kept = "" if agreement is None else f", {agreement:.2%} of the labels as in float32"
    print(f"{output}: {size / 1e6:.1f} MB{kept}")


def _add_model(parser: argparse.ArgumentParser, name: str, meaning: str) -> None:
    required: dict[str, Any] = {"required": True} if name.startswith("-") else {}
    parser.add_argument(name, metavar="MODEL", help=meaning, **required)


def _add_device(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument(
        "--device",
        choices=DEVICES,
        default=default,
        metavar="NAME",
        help=f"of a network: {', '.join(DEVICES[:-1])} or {DEVICES[-1]}",
    )


def _add_format(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", metavar="EXT", help="of the texts, instead of the extension of the file's name")


def _serve_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "unroll serve MODEL [options]"
    _add_model(parser, "model", ANY_MODEL)
    for field in fields(ServerOptions):
        kind = field.type if isinstance(field.type, type) else str
        flag = f"--{field.name.replace('_', '-')}"
        parser.add_argument(
            flag, type=kind, default=field.default, metavar=kind.__name__.upper(), help=field.metadata[MEANING]
        )
    parser.add_argument("--access-log", action="store_true", help="log every request, not only those with an error")
    parser.add_argument(
        "--insecure", action="store_true", help=f"let other machines use the server without a token in {TOKEN}"
    )


def _serve(arguments: argparse.Namespace) -> None:
    from unroll.inference.server.supervisor import Supervisor
    from unroll.loading import find_source

    options = ServerOptions(**{field.name: getattr(arguments, field.name) for field in fields(ServerOptions)})
    options.check_exposure(token_of_environment(), arguments.insecure)
    source = find_source(arguments.model)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(process)d %(levelname)s %(message)s")
    Supervisor(source, options, arguments.access_log).serve()


_SCORE_HELP = {
    "model": ("MODEL", ANY_MODEL),
    "output": ("OUTPUT", "a folder, or a file: .parquet, .csv, .jsonl"),
    "text": ("COLUMN", "with the text, if it is not text or tokens"),
    "text_pair": ("COLUMN", "with the second text of a pair"),
    "columns": ("A,B", "of the input that are kept; all by default"),
    "prefix": ("PREFIX", "of the names of the columns that are added"),
    "max_characters": ("N", "a longer text gets no answer; 100000"),
    "part_bytes": ("N", "of input for each part of the output"),
    "processes": ("N", "of this machine; one for each core, two on a GPU"),
    "batch_size": ("N", "texts that the model reads at once; 64"),
    "engine": ("NAME", f"{', '.join(ENGINES[:-1])} or {ENGINES[-1]}"),
    "address": ("ADDRESS", "of the cluster of Spark or Ray"),
}


def _score_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "unroll score INPUT ... --model MODEL --output OUTPUT [options]"
    parser.add_argument("input", nargs="+", metavar="INPUT", help=".parquet, .csv, .tsv, .jsonl; folders or 'patterns'")
    for name, (metavar, text) in _SCORE_HELP.items():
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=int if metavar == "N" else str,
            metavar=metavar,
            help=text,
            default=argparse.SUPPRESS,
            required=name in ("model", "output"),
        )
    _add_device(parser, argparse.SUPPRESS)
    parser.add_argument("--probabilities", action="store_true", help="those of all labels, and of entities")


def _score(arguments: argparse.Namespace) -> None:
    from unroll.inference.predictor import Predictor
    from unroll.inference.scoring.job import ScoreOptions
    from unroll.inference.scoring.score import score
    from unroll.loading import find_source

    given = vars(arguments)
    chosen = {field.name: given[field.name] for field in fields(ScoreOptions) if field.name in given}
    if "columns" in given:
        chosen["columns"] = tuple(filter(None, given["columns"].split(",")))
    options, output = ScoreOptions(**chosen), Path(arguments.output)
    others = {
        it: given[it] for it in ("part_bytes", "engine", "processes", "address", "device", "batch_size") if it in given
    }
    report = partial(print, file=sys.stderr, flush=True)
    source = find_source(arguments.model)
    done = score(source, arguments.input, output, options, Predictor, **others, report=report)
    speed = f"{done.scored} in {done.seconds:.1f} s: {done.scored / done.seconds:,.0f} rows/s" if done.scored else ""
    unusable = f"; {done.problems} have a reason in the column {options.prefix}error" if done.problems else ""
    print(f"{output}: {counted(done.rows, 'row')}, {speed or 'nothing to do'}{unusable}")


def _play_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", nargs="*", metavar="MODEL", help=f"{ANY_MODEL}; by default all networks in models/")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="prepared data of the training, for means")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at")
    parser.add_argument("--port", type=int, default=8001, help="0 for any free port")
    parser.add_argument("--insecure", action="store_true", help="let other machines open the page")


def _play(arguments: argparse.Namespace) -> None:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # before PyTorch is imported: more threads are slower
    from unroll.data.prepared import PreparedData
    from unroll.inference.play.serve import check_host, serve
    from unroll.inference.server.supervisor import listen
    from unroll.loading import find_source

    options = ServerOptions(host=arguments.host, port=arguments.port)
    check_host(options.host, arguments.insecure)
    if arguments.data is not None:
        PreparedData(arguments.data)
    sources = {name: find_source(name) for name in arguments.model}
    with (
        listen(options.host, options.port) as listener,
        tempfile.TemporaryDirectory(prefix="unroll-play-") as work,
    ):
        from unroll.inference.play.app import build_app  # PyTorch, which takes longer than finding a mistake
        from unroll.inference.play.networks import open_networks

        networks = open_networks(arguments.model, arguments.data, sources.__getitem__, Path(work))
        serve(build_app(networks, beside=len(arguments.model) > 1), listener)


COMMANDS = {
    "predict": Command("Predict the labels of texts.", _predict_arguments, _predict),
    "export": Command("Export a trained network to ONNX, which predicts without PyTorch.", _export_arguments, _export),
    "serve": Command("Serve a trained model over HTTP.", _serve_arguments, _serve, "serve"),
    "score": Command("Predict for files of any size, on all cores or a cluster.", _score_arguments, _score, "score"),
    "play": Command("Show what networks make of a text, on a page in the browser.", _play_arguments, _play),
}

if __name__ == "__main__":
    main()
