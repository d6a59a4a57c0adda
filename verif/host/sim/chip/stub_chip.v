// A chip that carries out commands from the bus, two bytes each, so that a test reaches every pin of the
// simulated chip's surroundings over the wire. Same pins as the real chip; 16 cycles a bit, 8E1.
//
//   S n  flash_cs_n = n           X n  exchange n on SPI, answer what came back
//   P n  {loop_drive, green, red} = n     Q n  answer {loop_drive, loop_cmp}
//   M n  answer byte n of the ones in loop_fb, out of 8192: it feeds the comparator's output back
//   E n  answer n                 O n  answer what was received during the last answer
module seal_chip (
    input clk, input rst, input loop_cmp, output loop_fb, output reg loop_drive,
    input rs485_ro, output rs485_di, output rs485_de,
    output reg flash_sck, output reg flash_cs_n, output flash_copi, input flash_cipo,
    output gsm_txd, input gsm_rxd, output reg led_green, output reg led_red
);
    localparam BIT = 16;

    // First-order converter: a count of 8192 is the full scale of 8192 mV.
    reg fb = 0;
    reg [12:0] samples = 0;
    reg [15:0] ones = 0;
    reg [15:0] measured = 0;
    assign loop_fb = fb;
    always @(posedge clk) begin
        fb <= loop_cmp;
        samples <= samples + 1;
        ones <= samples == 0 ? fb : ones + fb;
        if (samples == 0) measured <= ones;
    end

    assign gsm_txd = gsm_rxd;

    // Receiver: 8E1, samples in the middle of a bit.
    reg [1:0] ro = 2'b11;
    reg [7:0] rx_time = 0;
    reg [3:0] rx_bit = 0;
    reg rx_busy = 0;
    reg [9:0] rx_shift = 0;
    reg rx_valid = 0;
    always @(posedge clk) begin
        ro <= {ro[0], rs485_ro};
        rx_valid <= 0;
        if (!rx_busy) begin
            if (ro == 2'b10) begin
                rx_busy <= 1;
                rx_time <= BIT / 2;
                rx_bit <= 0;
            end
        end else if (rx_time != 0) rx_time <= rx_time - 1;
        else begin
            rx_time <= BIT - 1;
            rx_bit <= rx_bit + 1;
            rx_shift <= {ro[0], rx_shift[9:1]};
            if (rx_bit == 10) begin
                rx_busy <= 0;
                rx_valid <= ro[0] && !(^rx_shift[9:1]);
            end
        end
    end
    wire [7:0] rx_data = rx_shift[7:0];  // the stop bit has been shifted in after them

    // Transmitter, driver enabled for the byte alone; starts two bits after the request.
    reg [7:0] tx_time = 0;
    reg [3:0] tx_left = 0;
    reg [13:0] tx_shift = 14'h3fff;
    reg tx_start = 0;
    reg [7:0] tx_data = 0;
    assign rs485_de = tx_left != 0 && tx_left <= 11;
    assign rs485_di = tx_shift[0];
    always @(posedge clk) begin
        if (tx_start) begin
            tx_left <= 13;
            tx_time <= BIT - 1;
            tx_shift <= {1'b1, 1'b1, ^tx_data, tx_data, 1'b0, 2'b11};
        end else if (tx_left != 0) begin
            tx_time <= tx_time - 1;
            if (tx_time == 0) begin
                tx_time <= BIT - 1;
                tx_left <= tx_left - 1;
                tx_shift <= {1'b1, tx_shift[13:1]};
            end
        end
    end

    // Commands, and SPI in mode 0 at half the clock.
    reg second = 0;
    reg [7:0] op = 0;
    reg [7:0] own = 0;
    reg [7:0] spi_shift = 0;
    reg [3:0] spi_left = 0;
    reg answer = 0;
    assign flash_copi = spi_shift[7];
    always @(posedge clk) begin
        tx_start <= 0;
        if (spi_left != 0) begin
            flash_sck <= !flash_sck;
            if (flash_sck) begin
                spi_left <= spi_left - 1;
                spi_shift <= {spi_shift[6:0], answer};
                if (spi_left == 1) begin
                    tx_start <= 1;
                    tx_data <= {spi_shift[6:0], answer};
                end
            end else answer <= flash_cipo;
        end
        if (rx_valid && tx_left != 0) own <= rx_data;
        else if (rx_valid) begin
            second <= !second;
            op <= rx_data;
            if (second) case (op)
                "S": flash_cs_n <= rx_data[0];
                "X": begin spi_shift <= rx_data; spi_left <= 8; end
                "P": {loop_drive, led_green, led_red} <= rx_data[2:0];
                "Q": begin tx_start <= 1; tx_data <= {6'd0, loop_drive, loop_cmp}; end
                "M": begin tx_start <= 1; tx_data <= rx_data[0] ? measured[15:8] : measured[7:0]; end
                "E": begin tx_start <= 1; tx_data <= rx_data; end
                "O": begin tx_start <= 1; tx_data <= own; end
                default: ;
            endcase
        end
        if (rst) begin
            flash_sck <= 0;
            flash_cs_n <= 1;
            loop_drive <= 1;
            {led_green, led_red} <= 0;
            second <= 0;
            spi_left <= 0;
            own <= 0;
        end
    end
endmodule
