"""`python -m broker`, and the `broker` console script."""

from broker.cli.main import app


def main() -> None:
    app()


if __name__ == "__main__":
    main()
