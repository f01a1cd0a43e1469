(()=>{var m="./favicon-FOKUP5Y5.ico";})();

