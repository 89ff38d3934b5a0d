import { Body, Controller, HttpCode, Post } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { RoleAccess } from '../auth/access.decorator.js';
import { Report } from '../common/http/reports.js';
import { CreatePricingRuleDto } from '../pricing/dto/pricing.requests.js';
import { PricePreviewDto } from './dto/price-preview.responses.js';
import { PricePreviewService } from './price-preview.service.js';

/** The effect of a price: a question about usage, which prices know nothing of. */
@ApiTags('Pricing')
@Controller('pricing')
export class PricePreviewController {
  constructor(private readonly previews: PricePreviewService) {}

  @Post('preview')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Preview what a price would have changed in the last 30 days',
    description:
      'Changes nothing. Prices again the calls of the last 30 days that the rule would price if it were in force now, and ' +
      'compares that with what was charged. Of more than 20,000 calls the newest count, and `since` says from when. Calls ' +
      'whose credits the caller named are left out. A call that was not paid in full would not have paid more.',
    operationId: 'previewPricing',
  })
  @ApiOkResponse({ type: PricePreviewDto })
  @RoleAccess('admin')
  @Report()
  preview(@Body() body: CreatePricingRuleDto): Promise<PricePreviewDto> {
    return this.previews.preview(body);
  }
}
