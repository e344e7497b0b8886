"""What the methods section cites, by key."""

from medvision.report import attributing, predicting
from medvision.report.certainty_text import CITATIONS as CERTAINTY_CITATIONS
from medvision.report.pretraining import CITATIONS
from medvision.report.shortcuts import CITATIONS as SHORTCUT_CITATIONS
from medvision.report.statistics_text import CITATIONS as STATISTICS_CITATIONS
from medvision.report.transfer import CITATIONS as TRANSFER_CITATIONS

METHODS_CITATIONS = {
    "monai": "Cardoso MJ et al. MONAI: an open-source framework for deep learning in healthcare. "
    "2022. arXiv:2211.02701.",
    "n4": "Tustison NJ et al. N4ITK: improved N3 bias correction. IEEE Trans Med Imaging 2010. "
    "doi:10.1109/TMI.2010.2046908.",
    "captum": "Kokhlikyan N et al. Captum: a unified and generic model interpretability library "
    "for PyTorch. 2020. arXiv:2009.07896.",
    "densenet121": "Huang G et al. Densely connected convolutional networks. CVPR 2017. "
    "doi:10.1109/CVPR.2017.243.",
    "resnet": "He K et al. Deep residual learning for image recognition. CVPR 2016. "
    "doi:10.1109/CVPR.2016.90.",
    "efficientnet_b0": "Tan M, Le Q. EfficientNet: rethinking model scaling for convolutional "
    "neural networks. ICML 2019. arXiv:1905.11946.",
    "squeezenet1_1": "Iandola FN et al. SqueezeNet: AlexNet-level accuracy with 50x fewer "
    "parameters and <0.5MB model size. 2016. arXiv:1602.07360.",
    "mobilenet_v2": "Sandler M et al. MobileNetV2: inverted residuals and linear bottlenecks. CVPR "
    "2018. doi:10.1109/CVPR.2018.00474.",
    "sgd": "Sutskever I et al. On the importance of initialization and momentum in deep learning. "
    "ICML 2013. PMLR 28:1139-1147.",
    "focal": "Lin TY et al. Focal loss for dense object detection. ICCV 2017. "
    "doi:10.1109/ICCV.2017.324.",
    "huber": "Huber PJ. Robust estimation of a location parameter. Ann Math Stat 1964. "
    "doi:10.1214/aoms/1177703732.",
    "agreement": "Bland JM, Altman DG. Statistical methods for assessing agreement between two "
    "methods of clinical measurement. Lancet 1986. doi:10.1016/S0140-6736(86)90837-8.",
    "smoothing": "Szegedy C et al. Rethinking the Inception architecture for computer vision. CVPR "
    "2016. doi:10.1109/CVPR.2016.308.",
    "ema": "Polyak BT, Juditsky AB. Acceleration of stochastic approximation by averaging. SIAM J "
    "Control Optim 1992. doi:10.1137/0330046.",
    "depth": "Howard J, Ruder S. Universal language model fine-tuning for text classification. ACL "
    "2018. doi:10.18653/v1/P18-1031.",
    "adamw": "Loshchilov I, Hutter F. Decoupled weight decay regularization. ICLR 2019. "
    "arXiv:1711.05101.",
    "optuna": "Akiba T et al. Optuna: a next-generation hyperparameter optimization framework. KDD "
    "2019. doi:10.1145/3292500.3330701.",
    "tpe": "Bergstra J et al. Algorithms for hyper-parameter optimization. NeurIPS 2011.",
    "bootstrap": "Field CA, Welsh AH. Bootstrapping clustered data. J R Stat Soc B "
    "2007;69:369-390. doi:10.1111/j.1467-9868.2007.00593.x.",
    "bca": "Efron B. Better bootstrap confidence intervals. J Am Stat Assoc 1987;82:171-185. "
    "doi:10.1080/01621459.1987.10478410.",
    "integrated_gradients": "Sundararajan M, Taly A, Yan Q. Axiomatic attribution for deep "
    "networks. ICML 2017. arXiv:1703.01365.",
    "layer_gradcam": "Selvaraju RR et al. Grad-CAM: visual explanations from deep networks via "
    "gradient-based localization. ICCV 2017. doi:10.1109/ICCV.2017.74.",
    "occlusion": "Zeiler MD, Fergus R. Visualizing and understanding convolutional networks. "
    "ECCV 2014. doi:10.1007/978-3-319-10590-1_53.",
    "sanity": "Adebayo J et al. Sanity checks for saliency maps. NeurIPS 2018. arXiv:1810.03292.",
    **CITATIONS,
    **predicting.CITATIONS,
    **attributing.CITATIONS,
    **attributing.CHECK_CITATIONS,
    **TRANSFER_CITATIONS,
    **SHORTCUT_CITATIONS,
    **STATISTICS_CITATIONS,
    **CERTAINTY_CITATIONS,
    "deletion": "Petsiuk V, Das A, Saenko K. RISE: randomized input sampling for explanation of "
    "black-box models. BMVC 2018. arXiv:1806.07421.",
    "pointing": "Zhang J et al. Top-down neural attention by excitation backprop. IJCV 2018. "
    "doi:10.1007/s11263-017-1059-x.",
}
"""Key to reference."""
