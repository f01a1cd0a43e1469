(()=>{var T="./favicon-32x32-3EB2YCUY.png";})();

