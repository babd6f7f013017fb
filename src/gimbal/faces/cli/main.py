"""The entry point `gimbal`: shows the overview, or loads the commands, and runs what was asked for."""

import os
import sys


def main(words: list[str] | None = None) -> None:
    """Run the command line, or other words; exit with 1 on a Gimbal error and 2 on wrong usage."""
    words = sys.argv[1:] if words is None else words
    try:
        from gimbal.faces.cli import overview
    except ModuleNotFoundError as missing:
        # The script comes with the client alone, too.
        sys.stderr.write(f"Commands need {missing.name}, which is not installed: pip install 'gimbal-ops[server]'\n")
        raise SystemExit(1) from None
    try:
        if words in overview.QUESTIONS:
            overview.show()
        else:
            # What reads a command line takes longer to load than the overview takes to draw.
            from gimbal.faces.cli import app

            app.run(words)
            sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output has had enough (`| head`); what is buffered must not fail at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    except OSError as problem:
        from gimbal.faces.cli import show

        show.of_the_system(problem)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
