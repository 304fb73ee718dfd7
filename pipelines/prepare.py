"""Prepare stage: raw rows, checked and encoded."""

from pathlib import Path

from _stage import stage
from omegaconf import DictConfig

from unroll.config import build, build_options, source_of


@stage
def main(config: DictConfig) -> None:
    from unroll.data.prepare.prepare import PrepareOptions, prepare
    from unroll.data.tokenizer import TokenizerOptions

    tokenizer = build(TokenizerOptions, config.tokenizer, "tokenizer")
    options = build_options(PrepareOptions, config, tokenizer=tokenizer)
    source = source_of(config)
    description = prepare(source, Path(config.raw), Path(config.output), options)
    for split, facts in description["splits"].items():
        quarantined = sum(description["quarantined"][split].values())
        print(
            f"{config.output}: {split} {facts['rows']:,} rows, {facts['tokens']:,} tokens, "
            f"{facts['unknown_share']:.1%} unknown, {quarantined:,} quarantined"
        )
    if description["tags"]:
        found_out = "" if source.tag_scheme else ", found out in train (dataset.tag_scheme names another)"
        print(f"{config.output}: tag scheme {description['tags']['scheme']}{found_out}")
    print(f"{config.output}/report.html has more")


if __name__ == "__main__":
    main()
