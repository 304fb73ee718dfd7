"""Where the pretrained weights are that a training begins with, and their checksum."""

from pathlib import Path

from unroll.data.prepared import PreparedData
from unroll.data.pretrained import Pretrained
from unroll.data.tokenizer import Tokenizer
from unroll.files import sha256

PRETRAINED = Path("pretrained")  # what the pretrain stage has made, a folder a name
READ = (Pretrained.CONFIG, Pretrained.VOCABULARY, Pretrained.WEIGHTS, *Tokenizer.FILES)


def pretrained_folder(name: str) -> Path:
    """The folder of pretrained weights: ``pretrained/NAME``, or `name` itself if that is the path of one.

    Raises:
        ValueError: there is none.
    """
    for folder in (PRETRAINED / name, Path(name)):
        if (folder / Pretrained.CONFIG).is_file():
            return folder
    found = ", ".join(sorted(it.parent.name for it in PRETRAINED.glob(f"*/{Pretrained.CONFIG}")))
    raise ValueError(
        f"pretrained={name}: neither {PRETRAINED / name} nor {name} contains pretrained weights; accepted: "
        f"{found or 'what python pipelines/pretrain.py has made (nothing yet)'}, or the path of such a folder"
    )


def pretrained_checksum(name: str, data: PreparedData) -> str:
    """SHA-256 of the files that a training reads, and of the words of the data that only the weights may know."""
    files = [*(pretrained_folder(name) / file for file in READ), data.other_words_file]
    return sha256(*(file for file in files if file.is_file()))
