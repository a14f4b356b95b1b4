/** Whether the heavy tests run at their full size: `MARQUE_TEST_SIZE=large npm test`. By default they are small enough for every change. */
export const isLarge = process.env['MARQUE_TEST_SIZE'] === 'large';
