"""``python -m nerv_codec``."""

from nerv_codec.cli.main import main

if __name__ == "__main__":
    main()
