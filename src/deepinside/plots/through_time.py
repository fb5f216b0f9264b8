"""The gradient of the class score by step."""

from collections.abc import Iterator

from matplotlib.figure import Figure

from deepinside.plots.gallery import Drawn
from deepinside.study import Study

_BARS = "#0072B2"


def steps(study: Study) -> Iterator[Drawn]:
    """The share of the gradient at each step, with its interval, beside a uniform one."""
    table, numbers = study.table, {row.metric: row for row in study.numbers}
    figure = Figure(figsize=(6.5, 3), layout="constrained")
    axis = figure.subplots()
    low, high = table["share"] - table["ci_low"], table["ci_high"] - table["share"]
    axis.bar(table["step"], table["share"], yerr=[low, high], color=_BARS, error_kw={"lw": 1})
    axis.axhline(table["uniform"][0], color="0.4", ls="--", lw=1, label="uniform")
    axis.set(xlabel="step: rows of the image, from the top", ylabel="share of |dS/dx|")
    axis.legend(frameon=False, fontsize=8)
    first, reach = numbers["first_half"], numbers["reach"]
    caption = (
        f"{study.shown['network']}: norm of the gradient of the predicted class's score at the rows of each step, as a "
        f"share of the sum over steps; mean over {numbers['images'].value:.0f} images with its 95 % interval. The "
        f"first half of the steps has {first.value:.1%} [{first.ci_low:.1%}, {first.ci_high:.1%}]; the last "
        f"{reach.value:.1f} of {numbers['of'].value:.0f} have 95 %."
    )
    yield Drawn(figure, "", "Steps that the gradient reaches", caption)
