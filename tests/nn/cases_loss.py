"""Cases of `tests.nn.cases`: losses, those of `nn.functional` and the rarer ones."""

import numpy as np

from tests.nn.cases import Case

SIGNS = np.array([1, -1, 1, 1])
LABELS = np.array([2, 0, 1, 2])
COUNTS = np.array([[0, 1, 5], [3, 0, 2]])
WEIGHT = [0.5, 2.0, 1.25]
BITS = np.array([[0, 1, 1], [1, 0, 0], [0, 0, 1], [1, 1, 1]])


def weighted(name, **settings):
    """A loss with a factor for each class, made as in both libraries."""

    def make(nn):
        loss = getattr(nn, name)(**settings)
        if nn.__name__ == "torch.nn":
            import torch

            loss.register_buffer("weight", torch.tensor(WEIGHT))
        else:
            loss.register_buffer("weight", np.array(WEIGHT, np.float32))
        return loss

    return make


CASES = {
    "smooth_l1_loss": Case(lambda nn: nn.SmoothL1Loss(beta=0.75), inputs=((4, 3), (4, 3))),
    "smooth_l1_loss_0": Case(lambda nn: nn.SmoothL1Loss(reduction="none", beta=0.0), inputs=((4, 3), (4, 3))),
    "soft_margin_loss": Case(lambda nn: nn.SoftMarginLoss(), inputs=((4,), SIGNS)),
    "hinge_embedding_loss": Case(lambda nn: nn.HingeEmbeddingLoss(0.5), inputs=((4,), SIGNS)),
    "margin_ranking_loss": Case(lambda nn: nn.MarginRankingLoss(0.5, reduction="sum"), inputs=((4,), (4,), SIGNS)),
    "cosine_embedding_loss": Case(lambda nn: nn.CosineEmbeddingLoss(0.1), inputs=((4, 3), (4, 3), SIGNS)),
    "triplet_margin_loss": Case(lambda nn: nn.TripletMarginLoss(), inputs=((4, 3), (4, 3), (4, 3))),
    "triplet_margin_loss_swap": Case(
        lambda nn: nn.TripletMarginLoss(2.0, p=3.0, swap=True, reduction="none"), inputs=((4, 3), (4, 3), (4, 3))
    ),
    "poisson_nll_loss": Case(lambda nn: nn.PoissonNLLLoss(), inputs=((2, 3), COUNTS)),
    "poisson_nll_loss_full": Case(
        lambda nn: nn.PoissonNLLLoss(log_input=False, full=True, reduction="none"),
        inputs=([[0.5, 1.0, 2.0], [4.0, 0.25, 1.5]], COUNTS),
    ),
    "gaussian_nll_loss": Case(
        lambda nn: nn.GaussianNLLLoss(), inputs=((2, 3), (2, 3), [[0.5, 1.0, 2.0], [4.0, 1e-9, 1.5]]), rtol=1e-4
    ),
    "gaussian_nll_loss_full": Case(
        lambda nn: nn.GaussianNLLLoss(full=True, reduction="none"), inputs=((2, 3), (2, 3), [0.5, 2.0])
    ),
    "multi_margin_loss": Case(lambda nn: nn.MultiMarginLoss(), inputs=((4, 3), LABELS)),
    "multi_margin_loss_squared": Case(weighted("MultiMarginLoss", p=2, margin=0.5), inputs=((4, 3), LABELS)),
    "multilabel_soft_margin_loss": Case(weighted("MultiLabelSoftMarginLoss"), inputs=((4, 3), BITS)),
    "pairwise_distance": Case(lambda nn: nn.PairwiseDistance(1.0, keepdim=True), inputs=((4, 3), (4, 3))),
    "cosine_similarity": Case(lambda nn: nn.CosineSimilarity(), inputs=((4, 3), (4, 3))),
    "normalize": Case(lambda nn: nn.functional.normalize, inputs=((4, 3),)),
    "cross_entropy_pictures": Case(
        lambda nn: nn.CrossEntropyLoss(), inputs=((2, 3, 2, 2), np.array([[[0, 1], [2, -100]], [[1, 1], [0, 2]]]))
    ),
    "cross_entropy_smooth": Case(
        weighted("CrossEntropyLoss", label_smoothing=0.1, ignore_index=1), inputs=((4, 3), LABELS)
    ),
    "nll_loss_pictures": Case(
        weighted("NLLLoss", reduction="none"), inputs=((2, 3, 2, 2), np.array([[[0, 1], [2, 1]], [[1, 1], [0, 2]]]))
    ),
}
