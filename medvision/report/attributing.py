"""What the methods section cites of attribution methods and of the checks on their maps."""

CITATIONS = {
    "saliency": "Simonyan K et al. Deep inside convolutional networks: visualising "
    "image classification models and saliency maps. 2013. arXiv:1312.6034.",
    "smoothgrad": "Smilkov D et al. SmoothGrad: removing noise by adding noise. 2017. "
    "arXiv:1706.03825.",
    "input_x_gradient": "Shrikumar A et al. Not just a black box: learning important features "
    "through propagating activation differences. 2016. arXiv:1605.01713.",
    "gradient_shap": "Erion G et al. Improving performance of deep learning models with axiomatic "
    "attribution priors and expected gradients. Nat Mach Intell 2021. "
    "doi:10.1038/s42256-021-00343-w.",
    "deeplift": "Shrikumar A, Greenside P, Kundaje A. Learning important features through "
    "propagating activation differences. ICML 2017. arXiv:1704.02685.",
    "guided_backprop": "Springenberg JT et al. Striving for simplicity: the all convolutional net. "
    "2014. arXiv:1412.6806.",
    "guided_gradcam": "Selvaraju RR et al. Grad-CAM: visual explanations from deep networks via "
    "gradient-based localization. ICCV 2017. doi:10.1109/ICCV.2017.74.",
    "kernel_shap": "Lundberg SM, Lee SI. A unified approach to interpreting model predictions. "
    "NeurIPS 2017. arXiv:1705.07874.",
    "supervoxels": "Achanta R et al. SLIC superpixels compared to state-of-the-art superpixel "
    "methods. IEEE Trans Pattern Anal Mach Intell 2012. doi:10.1109/TPAMI.2012.120.",
}

CHECK_CITATIONS = {
    "sundararajan2017": "Sundararajan M, Taly A, Yan Q. Axiomatic attribution for deep networks. "
    "ICML 2017. arXiv:1703.01365.",
    "petsiuk2018": "Petsiuk V, Das A, Saenko K. RISE: randomized input sampling for explanation of "
    "black-box models. BMVC 2018. arXiv:1806.07421.",
    "adebayo2018": "Adebayo J et al. Sanity checks for saliency maps. NeurIPS 2018. "
    "arXiv:1810.03292.",
    "arun2021": "Arun N et al. Assessing the trustworthiness of saliency maps for localizing "
    "abnormalities in medical imaging. Radiol Artif Intell 2021. doi:10.1148/ryai.2021200267.",
    "nie2018": "Nie W, Zhang Y, Patel A. A theoretical explanation for perplexing behaviors of "
    "backpropagation-based visualizations. ICML 2018. arXiv:1805.07039.",
    "zhang2018": "Zhang J et al. Top-down neural attention by excitation backprop. IJCV 2018. "
    "doi:10.1007/s11263-017-1059-x.",
    "arras2022": "Arras L, Osman A, Samek W. CLEVR-XAI: a benchmark dataset for the ground truth "
    "evaluation of neural network explanations. Inf Fusion 2022. doi:10.1016/j.inffus.2021.11.008.",
    "otsu1979": "Otsu N. A threshold selection method from gray-level histograms. IEEE Trans Syst "
    "Man Cybern 1979. doi:10.1109/TSMC.1979.4310076.",
}
"""Key in the column `source` of the checks to its reference."""
