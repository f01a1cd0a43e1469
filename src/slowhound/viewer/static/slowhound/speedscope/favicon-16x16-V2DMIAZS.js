(()=>{var D="./favicon-16x16-VSI62OPJ.png";})();

